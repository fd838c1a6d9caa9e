"""Instances share the groups; what one gives up, or loses, another takes over."""

import asyncio

import pytest
from atlas_local.waiting import wait_until
from atlas_relay import spread
from atlas_relay.batch_loop import BatchLoop

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
    settings = each_delivery.model_copy(update={"relay_batch_rows": 80, "relay_producers": 2})
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


@pytest.fixture
def held_up(monkeypatch):
    """`held_up("adopt")`: each batch loop waits in that method, once it set the first event, until the second is."""

    def hold_up(method: str) -> tuple[asyncio.Event, asyncio.Event]:
        begun, go_on, real = asyncio.Event(), asyncio.Event(), getattr(BatchLoop, method)

        async def slowly(batches, groups):
            if groups:
                begun.set()
                await go_on.wait()
            await real(batches, groups)

        monkeypatch.setattr(BatchLoop, method, slowly)
        return begun, go_on

    return hold_up


@pytest.fixture
def two_lanes(settings):
    return settings.model_copy(update={"relay_producers": 2})


async def test_a_group_that_one_lane_is_taking_in_hand_is_not_given_to_another(outbox, two_lanes, run_relay, held_up):
    """Both would send its rows: they have the same epoch, and neither fences who is not written down yet."""
    begun, go_on = held_up("adopt")
    async with run_relay(two_lanes, owner="a", groups=None) as a:
        first, second = a.lanes
        await asyncio.wait_for(begun.wait(), 20)
        await _note_a_backlog(a)
        assert (len(first.taken), len(first.held), second._wanted) == (8, 0, {})
        go_on.set()
        await wait_until("both lanes to be in use", lambda: (len(first.held), len(second.held)) == (4, 4))


async def test_a_group_that_one_lane_is_giving_up_is_not_given_to_another(outbox, two_lanes, run_relay, held_up):
    """The other would find the first one's name, and fence a producer that has groups left to relay."""
    begun, go_on = held_up("leave")
    async with run_relay(two_lanes, owner="a") as a:
        first, second = a.lanes
        await _note_a_backlog(a)
        await asyncio.wait_for(begun.wait(), 20)
        await _renewed_again(a)
        assert (len(first.taken), second._wanted) == (8, {})
        go_on.set()
        await wait_until("both lanes to be in use", lambda: (len(first.held), len(second.held)) == (4, 4))


async def test_a_lease_is_not_given_back_while_a_lane_takes_its_group_in_hand(outbox, two_lanes, run_relay, held_up):
    """Its next owner would fence the lane's producer, once the lane's name is written down."""
    begun, go_on = held_up("adopt")
    async with run_relay(two_lanes, owner="a", groups=None) as a:
        await asyncio.wait_for(begun.wait(), 20)
        async with run_relay(two_lanes, owner="b", groups=None) as b:
            await wait_until("a to see that 4 are too many", lambda: len(a.ownership.epochs) == 4)
            await _renewed_again(a)
            owners = await outbox.connection.fetch("SELECT owner FROM outbox.leases")
            assert [row["owner"] for row in owners] == ["a"] * 8
            go_on.set()
            await wait_until("each to hold 4 groups", lambda: (len(a.held()), len(b.held())) == (4, 4))


async def _note_a_backlog(relay) -> None:
    for _ in range(2):
        relay.lanes[0].on_batch(True)
    await wait_until("a backlog to be noted", lambda: relay.ownership._spread.in_use == 2)


async def _renewed_again(relay) -> None:
    """The round that was under way has ended, and the next has told the lanes what to relay."""
    before = relay.ownership._renewed_at
    await wait_until("the next round", lambda: relay.ownership._renewed_at > before)


async def _nothing() -> None:
    """In place of a graceful leave."""
