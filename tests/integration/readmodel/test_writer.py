"""Positions and rows in one transaction, on the real database."""

from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.writer import COPY_FROM_ROWS, Advance, Batch, Fenced, Writer
from atlas_readmodel.table import ReadModel, Table
from atlas_readmodel.waiting.parking import Decision, Parked, Ruling, State

pytestmark = pytest.mark.integration
Pool = asyncpg.Pool

MODEL = ReadModel(
    "things",
    1,
    ("things.events",),
    Table(columns={"id": "text NOT NULL", "size": "integer", "at": "bigint NOT NULL"}, key=("id",)),
)


@pytest.fixture
async def writer(pool: Pool) -> Writer:
    async with pool.acquire() as connection:
        await generations.ensure_live(connection, MODEL)
    writer = Writer(pool, MODEL, 1)
    await writer.add_positions([("things.events", 0), ("things.events", 1)])
    return writer


def rows(count: int, size: int | None, offset: int = 0) -> dict[tuple[Any, ...], dict[str, Any] | None]:
    return {(f"k{n}",): {"id": f"k{n}", "size": size, "at": n, "_offset": offset} for n in range(count)}


def advance(expected: int, to: int, partition: int = 0) -> Advance:
    return Advance("things.events", partition, expected, to, to - expected)


@pytest.mark.parametrize("count", [1, COPY_FROM_ROWS - 1, COPY_FROM_ROWS, 3 * COPY_FROM_ROWS])
async def test_rows_are_inserted_and_updated_whatever_their_number(pool: Pool, writer: Writer, count: int) -> None:
    await writer.write(Batch([advance(0, count)], rows(count, 1)))
    await writer.write(Batch([advance(count, 2 * count)], rows(count, None, offset=9)))
    stored = await pool.fetch("SELECT * FROM readmodel.things_g1 ORDER BY at")
    assert [tuple(row) for row in stored] == [(f"k{n}", None, n, 9) for n in range(count)]
    assert await writer.positions() == {("things.events", 0): 2 * count, ("things.events", 1): 0}


async def test_rows_that_ended_are_deleted(pool: Pool, writer: Writer) -> None:
    await writer.write(Batch([advance(0, 3)], rows(3, 1)))
    await writer.write(Batch([advance(3, 5)], {("k1",): None, ("never there",): None}))
    assert [row["id"] for row in await pool.fetch("SELECT id FROM readmodel.things_g1 ORDER BY id")] == ["k0", "k2"]


async def test_load_gives_the_rows_there_are(writer: Writer) -> None:
    await writer.write(Batch([advance(0, 3)], rows(3, 7, offset=2)))
    loaded = await writer.load([("k1",), ("nobody",)])
    assert loaded == {("k1",): {"id": "k1", "size": 7, "at": 1, "_offset": 2}}
    assert await writer.load([]) == {}


async def test_a_writer_that_was_overtaken_changes_nothing(pool: Pool, writer: Writer) -> None:
    successor = Writer(pool, MODEL, 1)
    await successor.write(Batch([advance(0, 10)], rows(1, 1)))
    with pytest.raises(Fenced, match=r"things\.events/0@0"):
        await writer.write(Batch([advance(0, 4, partition=1), advance(0, 5)], rows(5, 99)))
    assert await pool.fetchval("SELECT count(*) FROM readmodel.things_g1 WHERE size = 99") == 0
    assert await writer.positions() == {("things.events", 0): 10, ("things.events", 1): 0}


async def test_a_generation_that_is_no_longer_live_takes_no_rows(pool: Pool, writer: Writer) -> None:
    async with pool.acquire() as connection:
        await generations.begin(connection, MODEL)
        async with connection.transaction():
            await generations.swap(connection, MODEL, 2)
    with pytest.raises(Fenced):
        await writer.write(Batch([advance(0, 1)], rows(1, 1)))


async def test_a_write_that_waits_for_the_swap_sees_what_it_did(pool: Pool, writer: Writer) -> None:
    """The lock's holder changes the row under the waiting UPDATE: its conditions must be looked at again."""
    import asyncio

    async with pool.acquire() as connection:
        await generations.begin(connection, MODEL)
        transaction = connection.transaction()
        await transaction.start()
        await generations.hold(connection, MODEL.name)
        waiting = asyncio.create_task(writer.write(Batch([advance(0, 1)], rows(1, 1))))
        await _until_blocked(pool)
        await generations.swap(connection, MODEL, 2)
        await transaction.commit()
    with pytest.raises(Fenced):
        await waiting
    assert await pool.fetchval("SELECT count(*) FROM readmodel.things_g1") == 0


def waits(offset: int, state: State = State.DEAD) -> Parked:
    headers = (("ce_type", b"x"), ("empty", None))
    return Parked("things.events", 0, offset, b"k", b"\x00v", headers, 5, state, "not an event")


async def test_what_waits_is_kept_whole_and_let_go(writer: Writer) -> None:
    dead, behind = waits(0), waits(1, State.BEHIND)
    ruling = Ruling(dead.place, Decision.SET_ASIDE, "not an event")
    await writer.write(Batch([advance(0, 2)], {}, [dead, behind], rulings=[ruling]))
    found = await writer.waiting([("things.events", 0)])
    assert [replace(record, parked_at_ms=0) for record in found.records] == [dead, behind]
    assert all(record.parked_at_ms > 0 for record in found.records)
    assert found.rulings == {dead.place: Decision.SET_ASIDE}
    await writer.write(Batch([advance(2, 2)], {}, released=[dead.place]))
    found = await writer.waiting([("things.events", 0)])
    assert [record.offset for record in found.records] == [1]
    assert found.rulings == {}


async def test_a_decision_replaces_the_one_before(writer: Writer) -> None:
    place = waits(0).place
    for decision in (Decision.SET_ASIDE, Decision.DROPPED):
        await writer.write(Batch([], {}, rulings=[Ruling(place, decision, "why")]))
    assert (await writer.waiting([])).rulings == {place: Decision.DROPPED}


async def test_what_is_asked_for_comes_with_all_of_its_key(pool: Pool, writer: Writer) -> None:
    await writer.write(Batch([advance(0, 3)], {}, [waits(0), waits(2, State.BEHIND), replace(waits(1), key=b"other")]))
    assert await writer.requests() == []
    await pool.execute("UPDATE readmodel.parked SET request = 'retry' WHERE record_offset = 0")
    ((first, second),) = await writer.requests()
    assert (first.offset, first.request, second.offset, second.request) == (0, "retry", 2, None)


async def test_positions_begin_once(writer: Writer) -> None:
    await writer.write(Batch([advance(0, 7)], {}))
    await writer.add_positions([("things.events", 0), ("things.events", 2)])
    assert await writer.positions() == {("things.events", 0): 7, ("things.events", 1): 0, ("things.events", 2): 0}


async def _until_blocked(pool: Pool) -> None:
    from atlas_local.waiting import wait_until

    async def blocked() -> bool:
        return bool(
            await pool.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )

    await wait_until("the write waits for the lock", blocked)
