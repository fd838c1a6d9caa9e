"""Relays as processes with the settings they are shipped with: joining, dying, standing still, stopping."""

import asyncio
from collections import Counter
from contextlib import ExitStack

import asyncpg
import pytest
from atlas_local.waiting import wait_until

from tests.bench.relays import RelayProcess

pytestmark = pytest.mark.integration

# What is promised, from the moment that the other relays could know of it.
SHARE_WITHIN_S = 5
TAKEN_OVER_WITHIN_S = 10
STOPPED_WITHIN_S = 5

LEASES = "SELECT owner FROM outbox.leases WHERE owner IS NOT NULL AND expires_at > clock_timestamp()"


@pytest.fixture
def spawn(servers, outbox, settings, tmp_path):
    """`spawn(lease_s=…)`: a relay process on the test's outbox, killed at the end."""
    with ExitStack() as stack:

        def start(**relay: object) -> RelayProcess:
            progress = settings.relay_progress_topic
            log = tmp_path / "relay.log"
            process = RelayProcess(servers.kafka_brokers, outbox.dsn, log, progress_topic=progress, **relay)
            stack.callback(process.kill)
            process.spawn()
            return process

        yield start


async def asked(outbox, query: str) -> list[asyncpg.Record]:
    """The answer, on a connection of its own: the other one writes."""
    connection = await asyncpg.connect(outbox.dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def shares(outbox) -> dict[str, int]:
    """How many groups each instance holds with a lease that runs."""
    owners = await asked(outbox, LEASES)
    return dict(Counter(row["owner"].rpartition("-")[0] for row in owners))


async def until_shared(outbox, seconds: float, what: str, *relays: RelayProcess) -> None:
    """Wait until these relays and no others hold all groups, no one more than one group more than another."""
    names = {relay.instance for relay in relays}

    async def fair() -> bool:
        held = await shares(outbox)
        return held.keys() == names and sum(held.values()) == 8 and max(held.values()) - min(held.values()) <= 1

    await wait_until(what, fair, seconds)


async def until_joined(outbox, *relays: RelayProcess) -> None:
    """Wait until the relays have said to the database that they live."""
    names = {relay.instance for relay in relays}

    async def joined() -> bool:
        rows = await asked(outbox, "SELECT instance FROM outbox.instances")
        return names <= {row["instance"].rpartition("-")[0] for row in rows}

    await wait_until("the relays to join", joined)


async def test_relays_join_stand_still_and_die_while_rows_flow(outbox, spawn):
    sent, stop = [], asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            items = [(f"k{key}", len(sent)) for key in range(20)]
            await outbox.commit(*items)
            sent.extend(items)
            await asyncio.sleep(0.05)

    first = spawn()
    await first.until_ready()
    writing = asyncio.create_task(write())
    try:
        paused, killed = spawn(), spawn()
        await until_joined(outbox, paused, killed)
        await until_shared(outbox, SHARE_WITHIN_S, "three relays to share", first, paused, killed)
        paused.pause()
        killed.kill()
        await until_shared(outbox, TAKEN_OVER_WITHIN_S, "the first to take all over", first)
        paused.resume()
        await until_shared(outbox, SHARE_WITHIN_S, "the one that woke up to have its share again", first, paused)
    finally:
        stop.set()
        await writing
    await outbox.until_empty()
    await outbox.delivered.until(sent)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_a_signal_lets_the_batch_be_finished_and_the_leases_be_given_back(outbox, spawn, delivery):
    items = [(f"k{n % 50}", n) for n in range(12_000)]
    await outbox.commit(*items)
    relay = spawn(delivery=delivery, batch_rows=100)

    async def is_draining() -> bool:
        return 0 < await outbox.count("records") < len(items)

    await wait_until("some rows to be sent", is_draining)
    assert await relay.ended(STOPPED_WITHIN_S) == 0
    left = await outbox.count("records")
    assert left, "it was stopped in the middle"
    assert await outbox.connection.fetchval("SELECT count(sender) FROM outbox.leases") == 0
    assert await shares(outbox) == {}
    assert len(await outbox.delivered.read()) == len(items) - left
    spawn(delivery=delivery)
    await outbox.until_empty()
    await outbox.delivered.until(items)


async def test_at_least_once_a_kill_repeats_rows_but_skips_none_and_keeps_the_order(outbox, spawn):
    items = [(f"k{n % 50}", n) for n in range(12_000)]
    await outbox.commit(*items)
    for left in (9_000, 6_000, 3_000):
        relay = spawn(delivery="at_least_once", batch_rows=100, lease_s=1.0)

        async def has_sent(left: int = left) -> bool:
            return await outbox.count("records") < left

        await wait_until(f"fewer than {left} rows to be left", has_sent)
        relay.kill()
    assert await outbox.count("records"), "each was killed in the middle"
    spawn(delivery="at_least_once", lease_s=1.0)
    await outbox.until_empty()
    seen = await outbox.delivered.read()
    assert set(seen) == set(items)
    firsts: dict[str, list[int]] = {}
    for key, number in dict.fromkeys(seen):
        firsts.setdefault(key, []).append(number)
    assert all(numbers == sorted(numbers) for numbers in firsts.values())
