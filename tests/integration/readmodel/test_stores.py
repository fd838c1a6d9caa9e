"""One suite over both places where a read model can be: tables in PostgreSQL, documents in Redis."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from atlas_local.waiting import wait_until
from atlas_readmodel.postgres.deaths import Mark
from atlas_readmodel.postgres.generations import Generation, NoSuchGeneration, NotCaughtUp
from atlas_readmodel.postgres.writer import Advance, Batch, Fenced
from atlas_readmodel.store import Positions, Store
from atlas_readmodel.stores import Stores
from atlas_readmodel.waiting.parking import Decision, Ruling, State

from tests.integration.readmodel.things import batch, begun, no_more, row, waiting

pytestmark = pytest.mark.integration


async def test_rows_and_position_move_together_and_from_where_they_were(store: Store) -> None:
    rows = await begun(store)
    await rows.write(batch(0, 2, row("a", 1), row("b", 2)))
    assert await rows.positions() == {("t", 0): 2}
    assert await rows.load([("a",), ("b",), ("c",)]) == {("a",): row("a", 1), ("b",): row("b", 2)}
    for stale in (batch(0, 1, row("a", 9)), batch(1, 3, row("a", 9)), batch(3, 4, row("a", 9))):
        with pytest.raises(Fenced, match="t/0@"):
            await rows.write(stale)
    assert await rows.load([("a",)]) == {("a",): row("a", 1)}
    await rows.write(Batch([Advance("t", 0, 2, 3, 1)], {("a",): None}))
    assert await rows.load([("a",)]) == {}


async def test_of_two_partitions_both_move_or_none(store: Store) -> None:
    rows = await begun(store, 0, 1)
    await rows.write(batch(0, 5))
    both = Batch([Advance("t", 0, 4, 6, 2), Advance("t", 1, 0, 1, 1)], {("a",): row("a", 1)})
    with pytest.raises(Fenced):
        await rows.write(both)
    assert await rows.positions() == {("t", 0): 5, ("t", 1): 0}
    assert await rows.load([("a",)]) == {}


async def test_of_two_writers_at_the_same_position_one_wins(store: Store) -> None:
    first = await begun(store)
    second = store.rows(first.generation)
    writes = (writer.write(batch(0, 1, row("a", n))) for n, writer in enumerate((first, second) * 4))
    done = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(error is None for error in done) == 1
    assert all(error is None or isinstance(error, Fenced) for error in done)


async def test_a_swap_needs_every_partition_and_fences_the_one_replaced(store: Store) -> None:
    old = await begun(store, 0, 1)
    await old.write(batch(0, 3, row("a", 1)))
    generation = await store.begin()
    assert generation == Generation(2, 1, "building")
    new = store.rows(2)
    await new.add_positions([("t", 0), ("t", 1)])
    await new.write(batch(0, 2, row("a", 1)))
    with pytest.raises(NotCaughtUp, match="t/0 at 2 of 3"):
        await store.swap(2, no_more)
    assert await store.in_state("live") == Generation(1, 1, "live")

    async def level(target: Positions) -> None:
        assert target == {("t", 0): 3, ("t", 1): 0}
        await new.write(batch(2, 3, row("b", 2)))

    epoch = await store.swap(2, level)
    assert await store.in_state("live") == Generation(2, 1, "live")
    assert await store.in_state("previous") == Generation(1, 1, "previous")
    with pytest.raises(Fenced):
        await old.write(batch(3, 4, row("a", 9)))
    assert await store.tidy(2) == 2
    back, later = await store.rollback()
    assert (back, later > epoch) == (Generation(1, 1, "live"), True)
    await old.write(batch(3, 4, row("a", 3)))
    with pytest.raises(Fenced):
        await new.write(batch(3, 4, row("a", 9)))


async def test_a_third_generation_ends_the_first(store: Store) -> None:
    await begun(store)
    for number in (2, 3):
        assert (await store.begin()).number == number
        await store.rows(number).add_positions([("t", 0)])
        await store.swap(number, no_more)
        await store.tidy(number)
    assert [(each["generation"], each["state"]) for each in await store.overview()] == [(2, "previous"), (3, "live")]
    assert await store.rollback() is not None


async def test_without_a_previous_generation_there_is_no_way_back(store: Store) -> None:
    await begun(store)
    with pytest.raises(NoSuchGeneration, match="things has no previous generation"):
        await store.rollback()


async def test_while_the_live_generation_is_held_its_writers_wait(store: Store) -> None:
    """What they write after the swap is refused: it would be lost."""
    live = await begun(store)
    await store.begin()
    await store.rows(2).add_positions([("t", 0)])
    writing: list[asyncio.Task[None]] = []

    async def level(_target: Positions) -> None:
        writing.append(asyncio.create_task(live.write(batch(0, 1, row("a", 1)))))
        done, _ = await asyncio.wait(writing, timeout=0.1)
        assert not done

    await store.swap(2, level)
    with pytest.raises(Fenced):
        await writing[0]


async def test_a_hold_that_fails_lets_go(store: Store) -> None:
    live = await begun(store)
    await store.begin()

    async def fails(_target: Positions) -> None:
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        await store.swap(2, fails)
    await asyncio.wait_for(live.write(batch(0, 1, row("a", 1))), 2)
    assert await store.in_state("live") == Generation(1, 1, "live")


async def test_rows_that_differ_are_counted_whichever_side_has_them(store: Store) -> None:
    live = await begun(store)
    await live.write(batch(0, 4, row("same", 1), row("other", 1), row("old", 1)))
    await store.begin()
    new = store.rows(2)
    await new.add_positions([("t", 0)])
    await new.write(batch(0, 4, row("same", 1), row("other", 2), row("new", 1), row("newer", 1)))
    found = await store.compare(2, no_more)
    assert found is not None
    assert (found.rows, found.different_rows, found.identical) == (4, 4, False)


async def test_another_version_is_built_anew_and_is_not_compared(stores: Stores, model: Any) -> None:
    await begun(stores.of(model))
    newer = stores.of(replace(model, version=2))
    assert await newer.begin() == Generation(2, 2, "building")
    assert await newer.begin() == Generation(2, 2, "building")
    assert await newer.compare(2, no_more) is None
    newest = stores.of(replace(model, version=3))
    assert await newest.begin() == Generation(3, 3, "building")
    await newest.discard()
    assert await newest.in_state("building") is None
    assert await stores.of(model).ensure_live() == Generation(1, 1, "live")


async def test_what_waits_is_kept_with_the_position(store: Store) -> None:
    rows = await begun(store)
    ruled = [Ruling(("t", 0, 1), Decision.SET_ASIDE, "no")]
    behind = waiting(2, state=State.BEHIND, error=None)
    await rows.write(batch(0, 3, parked=[waiting(1), behind, waiting(0, key=None)], rulings=ruled))
    with pytest.raises(Fenced):
        await rows.write(batch(0, 3, parked=[waiting(7)]))
    waits = await rows.waiting([("t", 0)])
    assert [replace(record, parked_at_ms=0) for record in waits.records] == [waiting(0, key=None), waiting(1), behind]
    assert all(record.parked_at_ms > 1_700_000_000_000 for record in waits.records)
    assert waits.rulings == {("t", 0, 1): Decision.SET_ASIDE}
    assert await store.ruling(("t", 0, 1)) is Decision.SET_ASIDE
    assert await store.ruling(("t", 0, 2)) is None
    assert (await rows.waiting([("t", 1)])).records == []


async def test_a_reader_that_did_not_let_go_died_where_it_began(store: Store) -> None:
    rows = await begun(store, 0, 1)
    both = [("t", 0), ("t", 1)]
    assert await rows.take_over("first", both) == {("t", 0): 0, ("t", 1): 0}
    assert await rows.take_over("first", both) == {("t", 0): 0, ("t", 1): 0}  # it begins again itself
    await rows.write(batch(0, 3, row("a", 1), partition=1))
    assert await rows.take_over("second", both) == {("t", 0): 1, ("t", 1): 0}
    assert await rows.take_over("third", both) == {("t", 0): 2, ("t", 1): 1}
    await rows.let_go("second", both)  # too late
    await rows.let_go("third", [("t", 1)])
    assert await rows.take_over("fourth", both) == {("t", 0): 3, ("t", 1): 0}


async def test_marks_count_the_readers_that_made_them(store: Store) -> None:
    rows = await begun(store)
    place = ("t", 0, 7)
    for reader in ("first", "first", "second"):
        await rows.mark(place, 64 if reader == "first" else 1, reader)
    await rows.mark(("t", 0, 8), 1, "second")
    marks = (await rows.waiting([("t", 0)])).marks
    assert marks == {place: Mark(1, 2, "second"), ("t", 0, 8): Mark(1, 1, "second")}
    assert (marks[place].deaths("second"), marks[place].deaths("third")) == (1, 2)
    await rows.unmark([("t", 0, 8)])
    assert set((await rows.waiting([("t", 0)])).marks) == {place}
    await rows.let_go("second", [("t", 0)])
    assert (await rows.waiting([("t", 0)])).marks == {}


async def test_a_generation_without_rows_is_empty(store: Store) -> None:
    rows = await begun(store)
    assert await rows.empty()
    await rows.write(batch(0, 1, row("a", 1)))
    assert not await rows.empty()


async def test_what_an_operator_asks_comes_to_the_writer_key_by_key(store: Store) -> None:
    rows = await begun(store)
    behind, early = waiting(2, state=State.BEHIND), waiting(3, key=b"z", state=State.EARLY)
    await rows.write(batch(0, 4, parked=[waiting(0, key=None), waiting(1), behind, early]))
    shown = await store.parked(["dead"], 1)
    assert ([record.offset for record in shown.records], shown.count) == ([0], 4)
    assert await rows.requests() == []
    assert await store.ask("retry", [("t", 0, 1), ("t", 0, 99)]) == [("t", 0, 1)]
    (of_key,) = await rows.requests()
    assert [(record.offset, record.request) for record in of_key] == [(1, "retry"), (2, None)]
    assert sorted(await store.ask("drop", None)) == [("t", 0, 0), ("t", 0, 1), ("t", 0, 3)]
    assert [[record.offset for record in each] for each in await rows.requests()] == [[0], [1, 2], [3]]
    found = await store.parked_at(("t", 0, 1))
    assert found is not None
    since = found.parked_at_ms
    # Failed again: it waits on, since when it did, and is asked for no more. Released: it does not wait.
    await rows.write(batch(4, 4, parked=[found.failed_again("still")], released=[("t", 0, 0), ("t", 0, 2)]))
    found = await store.parked_at(("t", 0, 1))
    assert found is not None
    assert (found.error, found.attempts, found.request, found.parked_at_ms) == ("still", 2, None, since)
    assert await store.parked_at(("t", 0, 0)) is None
    assert (await store.parked(["dead", "behind", "early"], 9)).count == 2


async def test_a_side_table_is_made_anew_and_never_over_a_projection(stores: Stores, model: Any) -> None:
    await begun(stores.of(model))
    assert await stores.of(model).begin_side() is None
    side = stores.of(replace(model, name="looked", topics=()))
    for _ in range(2):
        assert await side.begin_side() == Generation(1, 1, "live")
        rows = side.rows(1)
        assert await rows.positions() == {}
        await rows.add_positions([("t", 0)])
        await rows.write(batch(0, 1, row("a", 1)))
        assert await side.tidy(1) == 1
    assert await stores.of(model).in_state("live") == Generation(1, 1, "live")


async def test_one_at_a_time(stores: Stores) -> None:
    async with stores.only_one("thing") as mine, stores.only_one("thing") as second, stores.only_one("other") as other:
        assert (mine, second, other) == (True, False, True)
    async with stores.only_one("thing") as mine:
        assert mine


async def test_who_is_stopped_while_alone_keeps_nobody_out(stores: Stores) -> None:
    """The connection goes back to the pool as it is: with the lock, if the unlock could not be said."""

    async def alone() -> None:
        async with stores.only_one("thing") as mine:
            assert mine
            entered.set()
            await asyncio.Event().wait()

    async with stores.pool.acquire() as other:
        for _ in range(3):
            entered = asyncio.Event()
            task = asyncio.create_task(alone())
            await entered.wait()
            task.cancel()
            asyncio.get_running_loop().call_soon(task.cancel)  # once more, while it says the unlock
            with pytest.raises(asyncio.CancelledError):
                await task

        async def free() -> bool:
            held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            here = "WHERE locktype = 'advisory' AND datname = current_database()"
            return await other.fetchval(f"{held} {here}") == 0

        await wait_until("the lock to be free again", free, 10)
