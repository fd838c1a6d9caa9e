"""Differences are found whichever side they are on."""

import asyncpg
import pytest
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.comparison import compare
from atlas_readmodel.table import ReadModel, Table

pytestmark = pytest.mark.integration

MODEL = ReadModel(
    "things", 1, ("things.events",), Table(columns={"id": "text NOT NULL", "size": "integer"}, key=("id",))
)
INSERT = "INSERT INTO readmodel.things_g{} VALUES ('same', 1, 1), ('empty', NULL, 2)"


@pytest.fixture
async def two(pool: asyncpg.Pool) -> asyncpg.Pool:
    async with pool.acquire() as connection:
        await generations.ensure_live(connection, MODEL)
        await generations.begin(connection, MODEL)
        await connection.execute(INSERT.format(1))
        await connection.execute(INSERT.format(2))
    return pool


async def test_the_same(two: asyncpg.Pool) -> None:
    result = await compare(two, MODEL, 1, 2)
    assert (result.identical, result.rows, result.different_rows) == (True, 2, 0)


@pytest.mark.parametrize(
    ("change", "rows", "different"),
    [
        ("UPDATE readmodel.things_g2 SET size = 2 WHERE id = 'same'", 2, 1),
        ("UPDATE readmodel.things_g2 SET size = 0 WHERE id = 'empty'", 2, 1),
        ("UPDATE readmodel.things_g1 SET _offset = 7", 2, 2),
        ("DELETE FROM readmodel.things_g2 WHERE id = 'same'", 1, 1),
        ("INSERT INTO readmodel.things_g2 VALUES ('more', 1, 1)", 3, 1),
    ],
)
async def test_a_difference(two: asyncpg.Pool, change: str, rows: int, different: int) -> None:
    await two.execute(change)
    result = await compare(two, MODEL, 1, 2)
    assert (result.identical, result.rows, result.different_rows) == (False, rows, different)
