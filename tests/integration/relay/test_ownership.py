"""Instances share the groups; what one gives up, or loses, another takes over."""

import asyncio

import pytest
from atlas_local.waiting import wait_until
from atlas_relay import spread
from atlas_relay.pump import Pump

pytestmark = pytest.mark.integration


async def test_a_second_instance_takes_its_share_and_gives_it_back(outbox, settings, run_relay):
    sent = []

    async def write() -> None:
        for n in range(60):
            items = [(f"k{key}", n) for key in range(20)]
            await outbox.commit(*items)
            sent.extend(items)
            await asyncio.sleep(0.05)

    async with run_relay(settings, owner="a") as a:
        writing = asyncio.create_task(write())
        async with run_relay(settings, owner="b", groups=4) as b:
            await wait_until("a to hold 4 groups", lambda: len(a.held()) == 4)
            assert a.held().isdisjoint(b.held())
            await b.end()
        await wait_until("a to hold 8 groups again", lambda: len(a.held()) == 8)
        await writing
        await outbox.until_empty()
    await outbox.delivered.until(sent)


async def test_the_groups_of_a_dead_instance_are_taken_over(outbox, settings, run_relay):
    """Its tasks are cancelled where they stand, and its leases run out by themselves."""
    async with run_relay(settings, owner="dead") as dead:
        dead.ownership.leave = _nothing
        dead.task.cancel()
        await asyncio.wait({dead.task})
        await outbox.commit(*[(f"k{n}", n) for n in range(50)])
        assert await outbox.connection.fetchval("SELECT count(*) FROM outbox.leases WHERE owner = 'dead'") == 8
        async with run_relay(settings, owner="heir"):
            await outbox.until_empty()
            epochs = await outbox.connection.fetch("SELECT epoch FROM outbox.leases WHERE owner = 'heir'")
            assert [row["epoch"] for row in epochs] == [2] * 8
    await outbox.delivered.until([(f"k{n}", n) for n in range(50)])


async def test_a_stopped_instance_leaves_at_once(outbox, settings, run_relay):
    settings = settings.model_copy(update={"relay_lease_s": 60.0})
    async with run_relay(settings, owner="a") as a:
        await a.end()
    assert await outbox.connection.fetchval("SELECT count(*) FROM outbox.leases WHERE owner IS NOT NULL") == 0
    assert await outbox.count("instances") == 0


async def test_a_backlog_is_divided_among_the_lanes_and_then_one_has_all(outbox, each_delivery, run_relay, monkeypatch):
    """Rows are written all the while: groups change lanes in mid-flow, and nobody is fenced for it."""
    monkeypatch.setattr(spread, "_CALM_S", 0.5)
    settings = each_delivery.model_copy(update={"relay_batch_rows": 80})
    sent = []

    async def write(rounds: int, keys: int) -> None:
        for _ in range(rounds):
            items = [(f"k{key}", len(sent) + key) for key in range(keys)]
            await outbox.commit(*items)
            sent.extend(items)

    async with run_relay(settings, owner="a") as a:
        first, second = a.lanes
        assert (len(first.held), len(second.held)) == (8, 0)
        senders = [lane._sender for lane in a.lanes]
        for _ in range(2):
            writing = asyncio.create_task(write(30, 100))
            await wait_until("both lanes to be in use", lambda: (len(first.held), len(second.held)) == (4, 4))
            await writing
            await write(20, 3)
            await wait_until("one lane to have all", lambda: (len(first.held), len(second.held)) == (8, 0))
        await outbox.until_empty()
        assert [lane._sender for lane in a.lanes] == senders
    await outbox.delivered.until(sent)


async def test_a_group_that_one_lane_is_taking_in_hand_is_not_given_to_another(
    outbox, settings, run_relay, monkeypatch
):
    """Both would send its rows: they have the same epoch, and neither fences who is not written down yet."""
    begun, go_on, adopt = asyncio.Event(), asyncio.Event(), Pump.adopt

    async def slowly(pump, epochs):
        begun.set()
        await go_on.wait()
        await adopt(pump, epochs)

    monkeypatch.setattr(Pump, "adopt", slowly)
    async with run_relay(settings, owner="a", groups=None) as a:
        first, second = a.lanes
        await asyncio.wait_for(begun.wait(), 20)
        for _ in range(2):
            first.on_batch(True)
        await wait_until("a backlog to be noted", lambda: a.ownership._spread.in_use == 2)
        assert (len(first.taken), len(first.held), second._wanted) == (8, 0, {})
        go_on.set()
        await wait_until("both lanes to be in use", lambda: (len(first.held), len(second.held)) == (4, 4))


async def _nothing() -> None:
    """In place of a graceful leave."""
