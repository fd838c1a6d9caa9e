"""Thousands of transactions at once that commit out of the order of their ids, some held open all the while.

`make chaos WHAT=late_commits ROUNDS=20` prints one JSON summary, 1,000 transactions a round; it ends with 1 unless
every committed event was delivered once and in order per key, those of the others while some transactions were open.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer
from atlas_local.waiting import wait_until
from atlas_outbox.writer import OutboxRecord, append

from tests.bench.machine import servers
from tests.bench.relays import RelayProcess, new_outbox, new_topic, running
from tests.chaos.outbox_traffic import PARTITIONS, OutboxTraffic
from tests.chaos.relay import is_clean, is_empty
from tests.options import options

WRITERS = 80
KEYS = 500
HELD = 6
TRANSACTIONS_A_ROUND = 1000
ROUND_S = 120
# Of the others, while the held transactions are open: they wait for nobody.
DELIVERED_WITHIN_S = 10


async def run(traffic: OutboxTraffic, relay: RelayProcess, transactions: int) -> dict[str, Any]:
    """So many transactions beside the held ones: what happened, and the outcome at the end."""
    await traffic.prepare()
    stop = asyncio.Event()
    async with running(relay), _arrivals(traffic) as arrivals, AsyncExitStack() as stack:
        held = [await _begin(stack, traffic, f"held-{number}") for number in range(HELD)]
        begun = time.monotonic()
        writing = asyncio.create_task(traffic.run(stop))
        try:
            done = lambda: writing.done() or traffic.commits + traffic.roll_backs >= transactions  # noqa: E731
            await wait_until("the transactions", done, ROUND_S * max(1, transactions / TRANSACTIONS_A_ROUND))
            stop.set()
            await writing
        finally:
            writing.cancel()
        empty = lambda: is_empty(traffic.dsn)  # noqa: E731
        await wait_until("all others to be sent while some are held open", empty, DELIVERED_WITHIN_S)
        beside = await traffic.compare()
        held_s = time.monotonic() - begun
        for number, transaction in enumerate(held):
            await (transaction.rollback() if number % 3 == 2 else transaction.commit())
        await wait_until("what was held open to be sent", empty, DELIVERED_WITHIN_S)
        outcome = await traffic.compare()
    delays = sorted(arrivals[event] - moment for event, (moment, _id) in traffic.committed.items())
    ids = [row_id for _moment, row_id in traffic.committed.values()]
    return {
        "transactions": traffic.commits + traffic.roll_backs + HELD,
        "rolled_back": traffic.roll_backs + HELD // 3,
        "behind_a_later_id": sum(before > after for before, after in pairwise(ids)),
        "held_open_s": round(held_s, 1),
        "missing_while_held": beside.missing,
        "delay_p50_ms": round(1000 * delays[len(delays) // 2], 1),
        "delay_p99_ms": round(1000 * delays[len(delays) * 99 // 100], 1),
        **asdict(outcome),
    }


async def _begin(stack: AsyncExitStack, traffic: OutboxTraffic, key: str) -> Any:
    """A transaction with three events of a key of its own, left open."""
    connection = await asyncpg.connect(traffic.dsn)
    stack.push_async_callback(connection.close)
    transaction = connection.transaction()
    await transaction.start()
    for version in (1, 2, 3):
        await connection.execute("INSERT INTO ledger VALUES ($1, $2)", key, version)
        await append(connection, OutboxRecord(traffic.topic, key.encode(), str(version).encode()))
    return transaction


@asynccontextmanager
async def _arrivals(traffic: OutboxTraffic) -> AsyncIterator[dict[tuple[str, int], float]]:
    """The moment at which a read-committed consumer was first shown each event, filled while the block runs."""
    seen: dict[tuple[str, int], float] = {}
    consumer = AIOKafkaConsumer(
        traffic.topic,
        bootstrap_servers=traffic.brokers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )

    async def read() -> None:
        async for record in consumer:
            seen.setdefault((record.key.decode(), int(record.value)), time.monotonic())

    await consumer.start()
    reading = asyncio.create_task(read())
    try:
        yield seen
        await wait_until("the consumer to see all", lambda: reading.done() or traffic.committed.keys() <= seen.keys())
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()


def was_late_and_clean(summary: dict[str, Any]) -> bool:
    """Whether ids did become visible out of their order, and every committed event came once, in order, unhindered."""
    return is_clean(summary) and summary["behind_a_later_id"] > 0 and summary["missing_while_held"] == 0


async def _with_own_servers(rounds: int, seed: int) -> dict[str, Any]:
    async with servers() as own:
        topic = await new_topic(own, "chaos.events", partitions=PARTITIONS)
        dsn = await new_outbox(own)
        traffic = OutboxTraffic(dsn, own.servers.kafka_brokers, topic, seed, WRITERS, KEYS)
        relay = RelayProcess(traffic.brokers, dsn, Path(own.home.log("relay")))
        return {**await run(traffic, relay, rounds * TRANSACTIONS_A_ROUND), "seed": seed}


def main() -> None:
    """Print the summary as JSON."""
    asked = options(__doc__, rounds=20, seed=int(time.time()))
    summary = asyncio.run(_with_own_servers(asked.rounds, asked.seed))
    print(json.dumps(summary))
    raise SystemExit(0 if was_late_and_clean(summary) else 1)


if __name__ == "__main__":
    main()
