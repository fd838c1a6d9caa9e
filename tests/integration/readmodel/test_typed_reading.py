"""What queries read of each type: values, their JSON, tokens and pages of rows with keys of any type."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from atlas_readmodel.columns.json_rows import dumps, plain, plain_row
from atlas_readmodel.pages import decode_cursor, encode_cursor
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.pg_codecs import set_reading_codecs
from atlas_readmodel.postgres.writer import Advance, Batch, Writer
from atlas_readmodel.reader import NotBuilt, Reader
from atlas_readmodel.table import ReadModel, Table
from atlas_readmodel.token import Token

from tests.integration.readmodel.test_column_values import SCALARS, begun, model, scalar_rows
from tests.unit.readmodel.edge_values import TAKEN, held

pytestmark = pytest.mark.integration
Pool = asyncpg.Pool


@pytest.fixture
async def reading(database: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(database, min_size=1, max_size=2, init=set_reading_codecs) as opened:
        yield opened


async def test_a_row_is_read_as_json_of_what_was_written(pool: Pool, reading: Pool) -> None:
    writer = await begun(pool, model("edges", SCALARS))
    rows = scalar_rows()
    await writer.write(Batch([Advance("t", 0, 0, 1, 1)], rows))
    found = await Reader(reading, None).rows("edges", "SELECT * FROM readmodel.edges ORDER BY id")
    assert len(found) == len(rows)
    for row, wanted in zip(found, rows.values(), strict=True):
        assert wanted is not None
        read = json.loads(dumps(plain_row(row)))
        for name in SCALARS:
            assert read[name] == plain(wanted[name]), (SCALARS[name], read[name])


async def test_json_of_a_view_is_json_and_lists_are_lists(reading: Pool) -> None:
    row = await reading.fetchrow(
        "SELECT jsonb_build_object('a', 9223372036854775807, 'b', 'x') AS b, json_build_array(1, null) AS j,"
        " ARRAY['2024-02-29'::date, null] AS d, ARRAY[1.50::numeric] AS n, '1 mon'::interval AS i, $1::jsonb AS p,"
        " $2::jsonb AS t",
        {"a": [1]},
        '{"b": 2}',
    )
    assert plain_row(row) == {
        "b": {"a": 9223372036854775807, "b": "x"}, "j": [1, None], "d": ["2024-02-29", None], "n": ["1.50"],
        "i": "P1M0DT0.000S", "p": {"a": [1]}, "t": {"b": 2},
    }  # fmt: skip


KEYS = {
    "uuid": "0190f3c4-0000-7000-8000-000000000abc",
    "date": "2024-02-29",
    "bigint": "-7",
    "timestamptz": "2024-01-01T00:00:00.000001Z",
    "boolean": "true",
    "text": "k 1".replace(" ", "~"),
}


@pytest.mark.parametrize("kind", list(KEYS))
async def test_a_token_waits_for_a_row_by_a_key_of_any_type(pool: Pool, reading: Pool, kind: str) -> None:
    of = ReadModel("owned", 1, ("t",), Table({"k": f"{kind} NOT NULL", "version": "integer NOT NULL"}, ("k",)))
    queries = Reader(reading, None, versioned={"owned": f"k {kind}"})
    token = Token.parse(f"owned/{KEYS[kind]}@2")
    with pytest.raises(NotBuilt):
        await queries.wait_for(token, 30)
    writer = await begun(pool, of)
    assert not await queries.wait_for(token, 0.05)
    (key,) = await reading.fetchrow(f"SELECT $1::text::{kind}", KEYS[kind])
    key = of.table.column_types["k"].found(key) if of.table.column_types["k"].found else key
    for version in (1, 2):
        row = {"k": key, "version": version, "_offset": version}
        await writer.write(Batch([Advance("t", 0, version - 1, version, 1)], {(key,): row}))
    assert await queries.wait_for(token, 2)
    if kind != "text":
        with pytest.raises(ValueError, match="no such key"):
            await queries.wait_for(Token.parse("owned/nope@1"), 2)


@pytest.mark.parametrize("declared", ["uuid", "date", "timestamptz", "time", "inet", "bigint", "bytea"])
async def test_pages_follow_one_another_by_a_key_of_each_type(pool: Pool, reading: Pool, declared: str) -> None:
    of = model("paged", {"k": f"{declared} NOT NULL"}, ("k",))
    writer: Writer = await begun(pool, of)
    keys = list(dict.fromkeys(held(pair) for pair in TAKEN[declared] if len(repr(held(pair))) < 2000))
    rows: dict[tuple[Any, ...], Any] = {(k,): {"id": n, "k": k, "_offset": n} for n, k in enumerate(keys)}
    await writer.write(Batch([Advance("t", 0, 0, 1, 1)], rows))
    seen: list[int] = []
    cursor = ""
    while True:
        after, values = ("", []) if not cursor else ("WHERE k > $1", decode_cursor(cursor, [declared]))
        page = await reading.fetch(f"SELECT id, k FROM readmodel.paged {after} ORDER BY k LIMIT 2", *values)
        if not page:
            break
        seen += [row["id"] for row in page]
        cursor = encode_cursor([page[-1]["k"]])
    every = await reading.fetch("SELECT id FROM readmodel.paged ORDER BY k")
    assert seen == [row["id"] for row in every]
    assert await generations.in_state(reading, "paged", "live")
