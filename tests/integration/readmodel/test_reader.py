"""Queries over read models as the projector makes them."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from atlas_gateway.read_models import versioned
from atlas_readmodel.cache import Cache
from atlas_readmodel.pages import InvalidCursor, Page
from atlas_readmodel.postgres import generations
from atlas_readmodel.reader import NotBuilt, Reader
from atlas_readmodel.table import ReadModel
from atlas_readmodel.token import Token

from tests import neutral
from tests.neutral import PROJECTIONS

pytestmark = pytest.mark.integration
Pool = asyncpg.Pool


@pytest.fixture
async def reader(pool: Pool) -> Reader:
    async with pool.acquire() as connection:
        for projection in PROJECTIONS:
            if isinstance(projection.model, ReadModel):
                await generations.ensure_live(connection, projection.model)
    return Reader(pool, None, versioned=versioned(PROJECTIONS))


async def add_yards(pool: Pool, *yards: tuple[str, str, str, str, int]) -> None:
    await pool.executemany(
        "INSERT INTO readmodel.yards_g1 (yard_id, email, display_name, status, registered_at, updated_at, version,"
        " _offset) VALUES ($1, $2, $3, $4, $5, $5, 1, 0)",
        yards,
    )


async def add_hauls(pool: Pool, *hauls: tuple[str, str, str, str, int]) -> None:
    await pool.executemany(
        "INSERT INTO readmodel.hauls_g1 (haul_id, carrier, haul_number, origin, destination,"
        " scheduled_departure, status, distance_miles, _offset) VALUES ($1, $2, 1, $3, $4, $5, 'departed', 1, 0)",
        hauls,
    )


async def pages(ask: Any) -> list[list[str]]:
    """The ids of every page, until the last."""
    found, cursor = [], None
    while True:
        page: Page = await ask(cursor)
        found.append([next(iter(item.values())) for item in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_before_the_projector_ran_the_reason_is_named(pool: Pool) -> None:
    reader = Reader(pool, None)
    for ask in (
        neutral.row(reader, "yards", "u"),
        neutral.row(reader, "hauls", "f"),
        neutral.page(reader, "yards"),
        neutral.page(reader, "hauls"),
        neutral.page(reader, "routes"),
    ):
        with pytest.raises(NotBuilt, match="is not built yet"):
            await ask
    with pytest.raises(NotBuilt, match="carriers"):
        await neutral.row(reader, "carriers", "UA")
    with pytest.raises(NotBuilt, match="hauls"):
        await reader.wait_for(Token.parse("hauls.events/0@1"), 1, projection="hauls")


async def test_empty_read_models(reader: Reader) -> None:
    assert await neutral.row(reader, "yards", "u1") is None
    assert await neutral.page(reader, "yards") == Page([], None)
    assert await neutral.page(reader, "hauls", origin="EWR") == Page([], None)
    assert (await neutral.page(reader, "routes")).items == []
    assert (await neutral.page(reader, "carriers")).items == []
    assert await neutral.row(reader, "carriers", "UA") is None


async def test_one_user_has_the_columns_of_the_contract(pool: Pool, reader: Reader) -> None:
    await add_yards(pool, ("u1", "ann@example.com", "Ann", "active", 1000))
    assert await neutral.row(reader, "yards", "u1") == {
        "yard_id": "u1",
        "email": "ann@example.com",
        "display_name": "Ann",
        "country": None,
        "status": "active",
        "registered_at": 1000,
        "updated_at": 1000,
        "version": 1,
    }


async def test_yards_page_by_page_the_latest_first(pool: Pool, reader: Reader) -> None:
    # Two registered in the same millisecond: the id decides, and none is left out or comes twice.
    await add_yards(pool, *((f"u{n}", f"u{n}@x", f"U{n}", "active", n // 2) for n in range(7)))
    assert await pages(lambda cursor: neutral.page(reader, "yards", limit=3, cursor=cursor)) == [
        ["u6", "u5", "u4"],
        ["u3", "u2", "u1"],
        ["u0"],
    ]
    assert await pages(lambda cursor: neutral.page(reader, "yards", limit=7, cursor=cursor)) == [
        [f"u{n}" for n in range(6, -1, -1)]
    ]


async def test_yards_by_search_and_status(pool: Pool, reader: Reader) -> None:
    await add_yards(
        pool,
        ("u1", "ann@example.com", "Ann Q_1", "active", 1),
        ("u2", "bob@example.org", "Bob", "deactivated", 2),
        ("u3", "eve@annex.net", "Eve 100%", "active", 3),
    )

    async def ids(**filters: Any) -> list[str]:
        return [item["yard_id"] for item in (await neutral.page(reader, "yards", **filters)).items]

    assert await ids(search="ANN") == ["u3", "u1"]
    assert await ids(search="ann", status="active") == ["u3", "u1"]
    assert await ids(status="deactivated") == ["u2"]
    # Wildcards of LIKE are only letters here.
    assert await ids(search="_") == ["u1"]
    assert await ids(search="%") == ["u3"]
    assert await ids(search="\\") == []
    assert await pages(lambda cursor: neutral.page(reader, "yards", search="ann", limit=1, cursor=cursor)) == [
        ["u3"],
        ["u1"],
    ]


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "WzEsMl0", "eyJhIjoxfQ", "é", "W10"])
async def test_a_cursor_that_is_none(reader: Reader, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await neutral.page(reader, "yards", cursor=cursor)


async def test_hauls_by_route_and_carrier(pool: Pool, reader: Reader) -> None:
    await add_hauls(
        pool,
        ("f1", "UA", "EWR", "IAH", 1),
        ("f2", "UA", "EWR", "MIA", 2),
        ("f3", "AA", "JFK", "MIA", 3),
        ("f4", "UA", "EWR", "IAH", 4),
    )

    async def ids(**filters: Any) -> list[str]:
        return [item["haul_id"] for item in (await neutral.page(reader, "hauls", **filters)).items]

    assert await ids() == ["f4", "f3", "f2", "f1"]
    assert await ids(origin="EWR", destination="IAH") == ["f4", "f1"]
    assert await ids(destination="MIA") == ["f3", "f2"]
    assert await ids(carrier="UA", origin="EWR") == ["f4", "f2", "f1"]
    assert await ids(carrier="XX") == []
    assert await pages(lambda cursor: neutral.page(reader, "hauls", carrier="UA", limit=2, cursor=cursor)) == [
        ["f4", "f2"],
        ["f1"],
    ]


async def test_statistics_add_up_the_partitions(pool: Pool, reader: Reader) -> None:
    await pool.executemany(
        "INSERT INTO readmodel.routes_g1 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)",
        [
            ("EWR", "IAH", 3, 2, 1, 30, 2, 0),
            ("EWR", "IAH", 1, 1, 0, 30, 1, 1),
            ("JFK", "MIA", 1, 0, 1, 0, 0, 1),
        ],
    )
    both = (await neutral.page(reader, "routes")).items
    first = await neutral.page(reader, "routes", 1, None)
    rest = await neutral.page(reader, "routes", 500, first.next_cursor)
    assert [*first.items, *rest.items] == both
    assert rest.next_cursor is None
    with pytest.raises(InvalidCursor):
        await neutral.page(reader, "carriers", 1, first.next_cursor)
    assert [(row["origin"], row["destination"], row["hauls"]) for row in both] == [
        ("EWR", "IAH", 4),
        ("JFK", "MIA", 1),
    ]
    (route,) = (await neutral.page(reader, "routes", origin="EWR", destination="IAH")).items
    assert route == {
        "origin": "EWR",
        "destination": "IAH",
        "hauls": 4,
        "departed": 3,
        "cancelled": 1,
        "departure_delay_sum": 60,
        "departure_delay_count": 3,
        "mean_departure_delay_minutes": 20.0,
    }
    (never,) = (await neutral.page(reader, "routes", destination="MIA")).items
    assert never["mean_departure_delay_minutes"] is None


async def test_carriers_add_up_the_partitions(pool: Pool, reader: Reader) -> None:
    await pool.executemany(
        "INSERT INTO readmodel.carriers_g1 VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
        [("UA", 3, 2, 1, 30, 2, 0), ("UA", 1, 1, 0, 30, 1, 1), ("AA", 1, 0, 1, 0, 0, 1)],
    )
    assert [(row["carrier"], row["hauls"]) for row in (await neutral.page(reader, "carriers")).items] == [
        ("UA", 4),
        ("AA", 1),
    ]
    seen: list[str] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        page = await neutral.page(reader, "carriers", 1, cursor)
        seen += [row["carrier"] for row in page.items]
        cursor = page.next_cursor
    assert seen == ["UA", "AA"]
    carrier = await neutral.row(reader, "carriers", "UA")
    assert carrier is not None
    assert carrier["mean_departure_delay_minutes"] == 20.0


async def test_waiting_for_a_version(pool: Pool, reader: Reader) -> None:
    await add_yards(pool, ("u1", "a@x", "A", "active", 1))
    assert await reader.wait_for(Token.parse("yards/u1@1"), 1)
    began = time.monotonic()
    assert not await reader.wait_for(Token.parse("yards/u1@2"), 0.1)
    assert time.monotonic() - began < 2
    waiting = asyncio.create_task(reader.wait_for(Token.parse("yards/u1@2"), 5))
    await pool.execute("UPDATE readmodel.yards_g1 SET version = 2")
    assert await waiting


async def test_waiting_for_records(pool: Pool, reader: Reader) -> None:
    async def at(projection: str, partition: int, next_offset: int) -> None:
        await pool.execute(
            "INSERT INTO readmodel.positions VALUES ($1, 1, 'hauls.events', $2, $3)"
            " ON CONFLICT (projection, generation, topic, partition) DO UPDATE SET next_offset = $3",
            projection,
            partition,
            next_offset,
        )

    token = Token.parse("hauls.events/0@4;hauls.events/1@9")
    for projection in ("hauls", "routes", "carriers"):
        await at(projection, 0, 5)
        await at(projection, 1, 10)
    assert await reader.wait_for(token, 30)
    await at("routes", 1, 9)
    assert not await reader.wait_for(token, 0.1)
    assert await reader.wait_for(token, 30, projection="hauls")
    assert not await reader.wait_for(Token.parse("routes:hauls.events/1@9"), 0.1)
    # A partition that was never read, and a topic that nobody reads.
    assert not await reader.wait_for(Token.parse("hauls.events/2@0"), 0.1, projection="hauls")
    assert await reader.wait_for(Token.parse("hauls.roads/0@100"), 30)


async def test_only_yards_have_versions(reader: Reader) -> None:
    with pytest.raises(ValueError, match="hauls"):
        await reader.wait_for(Token.parse("hauls/f1@2"), 30)


async def test_a_cached_row_is_served_until_it_is_outdated(
    pool: Pool, reader: Reader, cache: Cache, unique: str
) -> None:
    cached = Reader(pool, cache)
    await add_yards(pool, (unique, "old@x", "A", "active", 1))
    first = await neutral.row(cached, "yards", unique)
    await pool.execute("UPDATE readmodel.yards_g1 SET email = 'new@x', _offset = 1")
    assert await neutral.row(cached, "yards", unique) == first
    assert (await neutral.row(cached, "yards", unique, cached=False) or {})["email"] == "new@x"
    await cache.lay_floors("yards", {unique: 1})
    assert (await neutral.row(cached, "yards", unique) or {})["email"] == "new@x"


async def test_a_reader_overtaken_by_a_write_does_not_cache_what_it_read(
    pool: Pool, reader: Reader, cache: Cache, unique: str
) -> None:
    await add_yards(pool, (unique, "old@x", "A", "active", 1))

    class Overtaken(Cache):
        """Between the reader's SELECT and its put a writer commits."""

        async def put(self, projection: str, key: str, row: Any, *, epoch: int, offset: int) -> bool:
            await cache.lay_floors(projection, {key: 7})
            await pool.execute("UPDATE readmodel.yards_g1 SET email = 'new@x', _offset = 7")
            return await super().put(projection, key, row, epoch=epoch, offset=offset)

    await neutral.row(Reader(pool, Overtaken(cache._redis, namespace=unique)), "yards", unique)
    assert (await neutral.row(Reader(pool, cache), "yards", unique) or {})["email"] == "new@x"


async def test_reads_go_on_while_views_are_replaced(pool: Pool, reader: Reader) -> None:
    """Prepared statements outlive their view; a reader sees neither an error nor an older generation."""
    from atlas_yards.projection import YARDS

    await add_yards(pool, ("u1", "1@x", "A", "active", 1))
    stop = asyncio.Event()
    seen: list[int] = []

    async def read() -> None:
        while not stop.is_set():
            yard = await neutral.row(reader, "yards", "u1")
            assert yard is not None
            seen.append(int(yard["email"].split("@")[0]))
            await neutral.page(reader, "yards", search="x")

    tasks = [asyncio.create_task(read()) for _ in range(4)]
    for _ in range(5):
        async with pool.acquire() as connection:
            generation = await generations.begin(connection, YARDS.model)
            await connection.execute(
                f"INSERT INTO readmodel.yards_g{generation.number} (yard_id, email, display_name, status,"
                f" registered_at, updated_at, version, _offset)"
                f" VALUES ('u1', '{generation.number}@x', 'A', 'active', 1, 1, 1, 1)"
            )
            async with connection.transaction():
                await generations.swap(connection, YARDS.model, generation.number)
            await generations.drop_superseded(connection, "yards")
    stop.set()
    await asyncio.gather(*tasks)
    assert seen[-1] == 6
