"""Every type that a column may have, at its edges, on the real server: written by each way, read, found, compared."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from atlas_avro.durations import Duration
from atlas_readmodel.columns.column_types import column_type
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.comparison import compare
from atlas_readmodel.postgres.writer import COPY_FROM_ROWS, Advance, Batch, Writer
from atlas_readmodel.table import ReadModel, Table

from tests.unit.readmodel.edge_values import TAKEN, held

pytestmark = pytest.mark.integration
Pool = asyncpg.Pool
Rows = dict[tuple[Any, ...], dict[str, Any] | None]

SCALARS = {f"c{n}": declared for n, declared in enumerate(TAKEN)}
ARRAYS = {name: f"{declared}[]" for name, declared in SCALARS.items() if declared != "jsonb"}
KEYS = [declared for declared in TAKEN if column_type(declared).in_key]


def model(name: str, columns: dict[str, str], key: tuple[str, ...] = ("id",)) -> ReadModel:
    return ReadModel(name, 1, ("t",), Table(columns={"id": "integer NOT NULL", **columns}, key=key))


async def begun(pool: Pool, of: ReadModel) -> Writer:
    async with pool.acquire() as connection:
        number = (await generations.ensure_live(connection, of)).number
    writer = Writer(pool, of, number)
    await writer.add_positions([("t", 0)])
    return writer


def scalar_rows() -> Rows:
    """One row for each value; a column that has fewer of them is null then."""
    values = {name: [held(pair) for pair in TAKEN[declared]] for name, declared in SCALARS.items()}
    return {
        (n,): {"id": n, **{name: each[n] if n < len(each) else None for name, each in values.items()}, "_offset": n}
        for n in range(max(map(len, values.values())) + 1)
    }


def array_rows() -> Rows:
    """All values of a type in a list, with a null; in lists of lists; none at all; no list."""
    rows: Rows = {}
    values = {name: [held(pair) for pair in TAKEN[SCALARS[name]]] for name in ARRAYS}
    for n, made in enumerate(
        (
            lambda each: [*each, None],
            lambda each: [[each[0], None], [None, each[-1]]],
            lambda each: [[[[[[each[0]]]]]]],
            lambda each: [None],
            lambda each: [],
            lambda each: None,
        )
    ):
        rows[(n,)] = {"id": n, **{name: made(each) for name, each in values.items()}, "_offset": n}
    return rows


def padded(rows: Rows, columns: dict[str, str]) -> Rows:
    """So many that they go by COPY."""
    nothing = {(n,): {"id": n, **dict.fromkeys(columns), "_offset": n} for n in range(10_000, 10_000 + COPY_FROM_ROWS)}
    return rows | nothing


def same(found: Any, wanted: Any) -> bool:
    return type(found) is type(wanted) and repr(found) == repr(wanted)


def check(found: Rows, wanted: Rows, columns: dict[str, str]) -> None:
    assert set(found) == set(wanted)
    for key, row in wanted.items():
        assert row is not None
        for name, declared in columns.items():
            got = (found[key] or {})[name]
            # Objects come back with their members in another order, whole numbers of floats as such.
            equal = got == row[name] if declared == "jsonb" else same(got, row[name])
            assert equal, (declared, row[name], got)


@pytest.mark.parametrize(("columns", "rows"), [(SCALARS, scalar_rows()), (ARRAYS, array_rows())], ids=["one", "lists"])
async def test_live_and_history_come_to_the_same_rows_that_are_read_as_they_were(
    pool: Pool, columns: dict[str, str], rows: Rows
) -> None:
    of = model("edges", columns)
    live = await begun(pool, of)
    for number, (key, row) in enumerate(rows.items()):  # each alone, as events come
        await live.write(Batch([Advance("t", 0, number, number + 1, 1)], {key: row}))
    check(dict(await live.load(rows)), rows, columns)
    loaded = await live.load(rows)
    await live.write(Batch([Advance("t", 0, len(rows), len(rows), 0)], dict(loaded)))  # as they were read
    async with pool.acquire() as connection:
        await generations.begin(connection, of)
    history = Writer(pool, of, 2)
    await history.add_positions([("t", 0)])
    await history.write(Batch([Advance("t", 0, 0, len(rows), len(rows))], padded(rows, columns)))
    check(dict(await history.load(rows)), rows, columns)
    await history.write(Batch([Advance("t", 0, len(rows), len(rows), 0)], dict.fromkeys(padded({}, columns))))
    async with pool.acquire() as connection:
        assert (await compare(connection, of, 1, 2)).identical
        assert not await connection.fetchval("SELECT count(*) FROM readmodel.edges_g2 WHERE id >= 10000")


@pytest.mark.parametrize("declared", KEYS)
async def test_a_row_is_found_changed_and_deleted_by_a_key_of_each_type(pool: Pool, declared: str) -> None:
    of = model("keyed", {"k": f"{declared} NOT NULL", "n": "integer"}, ("k",))
    writer = await begun(pool, of)
    keys = [(held(pair),) for pair in TAKEN[declared] if len(repr(held(pair))) < 2000]
    rows: Rows = {key: {"id": n, "k": key[0], "n": 1, "_offset": n} for n, key in enumerate(dict.fromkeys(keys))}
    await writer.write(Batch([Advance("t", 0, 0, 1, 1)], rows))
    assert await writer.load(rows) == rows
    again: Rows = {key: {**(row or {}), "n": 2} for key, row in rows.items()}
    await writer.write(Batch([Advance("t", 0, 1, 2, 1)], again))
    assert await writer.load(rows) == again
    await writer.write(Batch([Advance("t", 0, 2, 3, 1)], dict.fromkeys(rows)))
    assert await writer.load(rows) == {}


async def test_the_server_knows_them_for_what_they_are(pool: Pool) -> None:
    """The last day of the calendar is a day, not infinity; a month is a month, not 30 days; nothing was rounded."""
    columns = {"d": "date", "t": "timestamptz", "l": "timestamp", "i": "interval", "n": "numeric(38, 10)", "j": "jsonb"}
    writer = await begun(pool, model("known", columns))
    row = {
        "id": 1,
        "d": date.max,
        "t": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        "l": datetime(1, 1, 1, tzinfo=UTC).replace(tzinfo=None),
        "i": Duration(1, 2, 3),
        "n": Decimal("9" * 28 + ".0000000001"),
        "j": {"a": [1]},
        "_offset": 0,
    }
    await writer.write(Batch([Advance("t", 0, 0, 1, 1)], {(1,): row}))
    found = await pool.fetchrow(
        "SELECT d::text, (t AT TIME ZONE 'UTC')::text AS t, l::text, i::text, n::text, j->'a'->>0 AS j,"
        " isfinite(d) AND isfinite(t) AND isfinite(l) AS finite FROM readmodel.known"
    )
    assert dict(found) == {
        "d": "9999-12-31", "t": "9999-12-31 23:59:59.999999", "l": "0001-01-01 00:00:00",
        "i": "1 mon 2 days 00:00:00.003", "n": "9" * 28 + ".0000000001", "j": "1", "finite": True,
    }  # fmt: skip


async def test_two_tables_whose_intervals_are_only_equal_by_the_calendar_differ(pool: Pool) -> None:
    of = model("spans", {"i": "interval"})
    one = await begun(pool, of)
    await one.write(Batch([Advance("t", 0, 0, 1, 1)], {(1,): {"id": 1, "i": Duration(1, 0, 0), "_offset": 0}}))
    async with pool.acquire() as connection:
        await generations.begin(connection, of)
    other = Writer(pool, of, 2)
    await other.add_positions([("t", 0)])
    await other.write(Batch([Advance("t", 0, 0, 1, 1)], {(1,): {"id": 1, "i": Duration(0, 30, 0), "_offset": 0}}))
    async with pool.acquire() as connection:
        assert (await compare(connection, of, 1, 2)).different_rows == 1


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("'infinity'::date", "infinity"),
        ("'-infinity'::timestamptz", "-infinity"),
        ("'infinity'::timestamp", "infinity"),
        ("'infinity'::interval", "infinity"),
        ("'10000-01-01'::date", 2_932_897),
        ("'4713-01-01 BC'::date", -2_440_550),
        ("'10000-01-01T00:00:00Z'::timestamptz", 253_402_300_800_000_000),
        ("'0001-01-01 BC'::timestamp", -62_167_219_200_000_000),
        ("'-1 month 2 days -3.5 seconds'::interval", "P-1M2DT-3.500000S"),
        ("'0.000001 seconds'::interval", "P0M0DT0.000001S"),
        ("'2000-01-01T00:35:47.483647Z'::timestamptz", datetime(2000, 1, 1, 0, 35, 47, 483_647, tzinfo=UTC)),
    ],
)
async def test_what_only_a_view_can_lead_to_is_read_as_what_it_is(pool: Pool, sql: str, found: Any) -> None:
    assert await pool.fetchval(f"SELECT {sql}") == found


@pytest.mark.parametrize(
    ("sql", "value"), [("date", "x"), ("timestamptz", "x"), ("timestamp", datetime.now(UTC)), ("interval", 1)]
)
async def test_what_is_none_of_the_type_is_the_argument_s_fault(pool: Pool, sql: str, value: Any) -> None:
    with pytest.raises(asyncpg.DataError):
        await pool.fetchval(f"SELECT $1::{sql} IS NULL", value)
