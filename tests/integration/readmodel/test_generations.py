"""Which generation readers see, and that nobody can get it wrong."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.generations import Generation, NoSuchGeneration, NotCaughtUp
from atlas_readmodel.postgres.writer import Advance, Batch, Fenced, Writer
from atlas_readmodel.table import ReadModel, Table

pytestmark = pytest.mark.integration
Pool = asyncpg.Pool

MODEL = ReadModel(
    "things", 1, ("things.events",), Table(columns={"id": "text NOT NULL", "size": "integer"}, key=("id",))
)
PLACE = ("things.events", 0)


async def fill(pool: Pool, generation: int, upto: int, size: int, expected: int = 0) -> None:
    writer = Writer(pool, MODEL, generation)
    await writer.add_positions([PLACE])
    row = {"id": "a", "size": size, "_offset": upto - 1}
    await writer.write(Batch([Advance(*PLACE, expected, upto, upto - expected)], {("a",): row}))


async def swap(pool: Pool, model: ReadModel, number: int) -> int:
    async with pool.acquire() as connection, connection.transaction():
        return await generations.swap(connection, model, number)


async def begin(pool: Pool, model: ReadModel = MODEL) -> Generation:
    async with pool.acquire() as connection:
        await generations.ensure_live(connection, model)
        return await generations.begin(connection, model)


async def read(pool: Pool) -> Any:
    return await pool.fetchval("SELECT size FROM readmodel.things WHERE id = 'a'")


async def states(pool: Pool) -> dict[int, str]:
    rows = await pool.fetch("SELECT generation, state FROM readmodel.generations ORDER BY generation")
    return {row["generation"]: row["state"] for row in rows}


async def test_the_first_is_made_once_however_many_ask(pool: Pool) -> None:
    async def ask() -> Generation:
        async with pool.acquire() as connection:
            return await generations.ensure_live(connection, MODEL)

    assert await asyncio.gather(*(ask() for _ in range(6))) == [Generation(1, 1, "live")] * 6
    assert await pool.fetch("SELECT * FROM readmodel.things") == []


async def test_a_swap_shows_the_new_rows_and_keeps_the_old(pool: Pool) -> None:
    await begin(pool)
    await fill(pool, 1, upto=5, size=1)
    await fill(pool, 2, upto=5, size=2)
    assert await read(pool) == 1
    epoch = await swap(pool, MODEL, 2)
    assert await read(pool) == 2
    assert await states(pool) == {1: "previous", 2: "live"}
    assert epoch == 2


async def test_no_swap_while_a_partition_is_behind(pool: Pool) -> None:
    await begin(pool)
    await fill(pool, 1, upto=5, size=1)
    with pytest.raises(NotCaughtUp, match=r"things\.events/0 at 0 of 5"):
        await swap(pool, MODEL, 2)
    await fill(pool, 2, upto=4, size=2)
    with pytest.raises(NotCaughtUp, match=r"things\.events/0 at 4 of 5"):
        await swap(pool, MODEL, 2)
    assert await read(pool) == 1
    assert await states(pool) == {1: "live", 2: "building"}


async def test_rollback_and_forward_again(pool: Pool) -> None:
    await begin(pool)
    await fill(pool, 1, upto=5, size=1)
    await fill(pool, 2, upto=6, size=2)
    await swap(pool, MODEL, 2)
    async with pool.acquire() as connection:
        assert (await generations.rollback(connection, "things")).number == 1
        assert await read(pool) == 1
        await fill(pool, 1, upto=9, size=3, expected=5)
        with pytest.raises(Fenced):
            await fill(pool, 2, upto=9, size=4, expected=6)
        assert (await generations.rollback(connection, "things")).number == 2
    assert await read(pool) == 2
    assert await states(pool) == {1: "previous", 2: "live"}


async def test_there_may_be_nothing_to_roll_back_to(pool: Pool) -> None:
    await begin(pool)
    async with pool.acquire() as connection:
        with pytest.raises(NoSuchGeneration):
            await generations.rollback(connection, "things")


async def test_the_one_before_the_previous_is_dropped(pool: Pool) -> None:
    for number in (2, 3):
        assert (await begin(pool)).number == number
        await swap(pool, MODEL, number)
    async with pool.acquire() as connection:
        assert await generations.drop_superseded(connection, "things") == [1]
        assert await generations.drop_superseded(connection, "things") == []
    assert await states(pool) == {1: "dropped", 2: "previous", 3: "live"}
    assert await pool.fetchval("SELECT to_regclass('readmodel.things_g1')") is None


async def test_an_unfinished_one_is_gone_on_with(pool: Pool) -> None:
    await begin(pool)
    await fill(pool, 2, upto=4, size=2)
    assert (await begin(pool)).number == 2
    assert await Writer(pool, MODEL, 2).positions() == {PLACE: 4}


async def test_an_unfinished_one_of_another_version_is_not(pool: Pool) -> None:
    await begin(pool)
    assert await begin(pool, replace(MODEL, version=2)) == Generation(3, 2, "building")
    assert await states(pool) == {1: "live", 2: "dropped", 3: "building"}


async def test_an_unfinished_one_can_be_given_up(pool: Pool) -> None:
    await begin(pool)
    async with pool.acquire() as connection:
        await generations.discard(connection, "things")
        await generations.discard(connection, "things")
    assert await states(pool) == {1: "live", 2: "dropped"}
    assert await pool.fetchval("SELECT to_regclass('readmodel.things_g2')") is None


async def test_a_new_version_may_have_other_columns(pool: Pool) -> None:
    await begin(pool)
    table = Table(columns={"id": "text NOT NULL", "weight": "double precision"}, key=("id",))
    newer = replace(MODEL, version=2, table=table)
    generation = await begin(pool, newer)
    async with pool.acquire() as reader:
        prepared = await reader.fetch("SELECT * FROM readmodel.things")  # a statement prepared on the old view
        assert prepared == []
        await swap(pool, newer, generation.number)
        await reader.fetch("SELECT * FROM readmodel.things")
        await reader.fetch("SELECT weight FROM readmodel.things")


async def test_a_read_model_is_retired_with_all_that_is_known_of_it(pool: Pool) -> None:
    number = (await begin(pool)).number
    await fill(pool, 1, 3, 1)
    await fill(pool, number, 3, 2)
    await swap(pool, MODEL, number)
    async with pool.acquire() as connection:
        assert await generations.retire(connection, "nobodys'; --") == []
        removed = await generations.retire(connection, MODEL.name)
        assert len(removed) == 2
        assert await generations.retire(connection, MODEL.name) == []
        left = await connection.fetch("SELECT relname FROM pg_class WHERE relname ~ '^things'")
        assert [row["relname"] for row in left] == []
        for table in ("generations", "positions", "parked", "failures", "dead_letters"):
            assert await connection.fetchval(f"SELECT count(*) FROM readmodel.{table}") == 0
        again = await generations.ensure_live(connection, MODEL)  # as if it had never been
        assert again.number == 1
