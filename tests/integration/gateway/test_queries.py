"""Queries: rows as JSON, pages, bad parameters, entity tags, and reading one's own write."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession
from atlas_hauls.projections.departures import DEPARTURES
from atlas_local.testing import Servers
from atlas_readmodel.postgres.writer import Advance, Batch
from atlas_readmodel.redis.documents_store import DocumentsStore
from atlas_readmodel.stores import open_redis

YARD_COLUMNS = "yard_id, email, display_name, country, status, registered_at, updated_at, version, _offset"
ROUTE_COUNTERS = "hauls, departed, cancelled, departure_delay_sum, departure_delay_count"


async def put_yard(connection: asyncpg.Connection, *, version: int = 1, **changes: Any) -> dict[str, Any]:
    """A row as the projector would write it."""
    yard = {
        "yard_id": str(uuid.uuid4()), "email": f"{uuid.uuid4().hex}@example.org", "display_name": "Grace Hopper",
        "country": None, "status": "active", "registered_at": 1_700_000_000_123, "updated_at": 1_700_000_000_123,
        "version": version, **changes,
    }  # fmt: skip
    await connection.execute(
        f"INSERT INTO readmodel.yards_g1 ({YARD_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)",
        *yard.values(),
    )
    return yard


async def put_haul(connection: asyncpg.Connection, haul_id: str, at_ms: int, carrier: str = "UA") -> None:
    await connection.execute(
        """INSERT INTO readmodel.hauls_g1 (haul_id, carrier, haul_number, truck_number, origin, destination,
        scheduled_departure, status, departure_delay_minutes, arrival_delay_minutes, drive_time_minutes, distance_miles,
        _offset) VALUES ($1, $2, 1, NULL, 'EWR', 'IAH', $3, 'departed', 2, 11, 227, 1400, 0)""",
        haul_id, carrier, at_ms,
    )  # fmt: skip


async def move(connection: asyncpg.Connection, projection: str, topic: str, partition: int, next_offset: int) -> None:
    """The projector's position, as it would commit it."""
    await connection.execute(
        """INSERT INTO readmodel.positions (projection, generation, topic, partition, next_offset)
        VALUES ($1, 1, $2, $3, $4)
        ON CONFLICT (projection, generation, topic, partition) DO UPDATE SET next_offset = excluded.next_offset""",
        projection, topic, partition, next_offset,
    )  # fmt: skip


@pytest.fixture
async def hauls(connection: asyncpg.Connection) -> AsyncIterator[None]:
    for number in range(5):
        await put_haul(connection, f"haul-{number}", 1_357_035_300_000 + number, carrier="B6" if number else "UA")
    yield
    await connection.execute("TRUNCATE readmodel.hauls_g1")


async def test_a_user_with_its_version_as_etag(client: ClientSession, connection: asyncpg.Connection) -> None:
    yard = await put_yard(connection, version=3, country="US")
    async with client.get(f"/yards/{yard['yard_id']}") as response:
        found = await response.json()
    assert (response.status, response.headers["ETag"]) == (200, '"3"')
    assert found == yard | {
        "registered_at": "2023-11-14T22:13:20.123Z",
        "updated_at": "2023-11-14T22:13:20.123Z",
    }
    async with client.get(f"/yards/{yard['yard_id']}", headers={"If-None-Match": '"3"'}) as response:
        assert (response.status, await response.read()) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/yards/nobody", "/hauls/none", "/routes/AAA/BBB", "/carriers/ZZ", "/departures/ZZZ", "/yards/%00"]
)
async def test_what_is_not_there_is_404(client: ClientSession, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"


async def test_yards_are_searched_and_paged(client: ClientSession, connection: asyncpg.Connection) -> None:
    mark = uuid.uuid4().hex[:10]
    ids = [
        (await put_yard(connection, display_name=f"Search {mark} 100%", registered_at=1_000 + number))["yard_id"]
        for number in range(5)
    ]
    found: list[str] = []
    query = {"search": f"{mark.upper()} 100%", "status": "active", "limit": "2"}
    while True:
        async with client.get("/yards", params=query) as response:
            page = await response.json()
        found += [item["yard_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == ids[::-1]
    async with client.get("/yards", params={"search": mark, "status": "deactivated"}) as response:
        assert (await response.json())["items"] == []


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "/limit"),
        ("limit=many", "/limit"),
        ("status=asleep", "/status"),
        ("colour=red", "/colour"),
        ("cursor=nonsense", "/cursor"),
        ("search=", "/search"),
        ("limit=1&limit=2", "/limit"),
        ("token=nonsense", "/token"),
    ],
)
async def test_a_bad_parameter_is_named(client: ClientSession, query: str, where: str) -> None:
    async with client.get(f"/yards?{query}") as response:
        problem = await response.json()
    assert response.status == 422
    assert [error["path"] for error in problem["errors"]] == [where]
    assert {"found", "expected"} <= set(problem["errors"][0])


@pytest.mark.usefixtures("hauls")
async def test_hauls_by_id_route_and_carrier(client: ClientSession) -> None:
    async with client.get("/hauls/haul-1") as response:
        haul = await response.json()
    assert (haul["haul_number"], haul["scheduled_departure"]) == (1, "2013-01-01T10:15:00.001Z")
    assert response.headers["ETag"]
    for query, count in (("origin=EWR", 5), ("destination=IAH&carrier=B6", 4), ("origin=JFK", 0)):
        async with client.get(f"/hauls?{query}") as response:
            page = await response.json()
        assert len(page["items"]) == count, query
    async with client.get("/hauls?origin=newark") as response:
        assert response.status == 422


async def test_delay_statistics(client: ClientSession, connection: asyncpg.Connection) -> None:
    for partition in (0, 1):
        await connection.execute(
            f"""INSERT INTO readmodel.routes_g1 (origin, destination, {ROUTE_COUNTERS}, _partition, _offset)
            VALUES ('EWR', 'IAH', 3, 2, 1, 10, 2, $1, 0)""",
            partition,
        )
        await connection.execute(
            f"""INSERT INTO readmodel.carriers_g1 (carrier, {ROUTE_COUNTERS}, _partition, _offset)
            VALUES ('UA', 3, 2, 1, 10, 2, $1, 0)""",
            partition,
        )
    for path in ("/routes/EWR/IAH", "/carriers/UA"):
        async with client.get(path) as response:
            statistics = await response.json()
        assert (statistics["hauls"], statistics["cancelled"]) == (6, 2), path
        assert statistics["mean_departure_delay_minutes"] == 5.0
    async with client.get("/routes?origin=EWR") as response:
        assert [item["destination"] for item in (await response.json())["items"]] == ["IAH"]
    async with client.get("/carriers") as response:
        assert [item["carrier"] for item in (await response.json())["items"]] == ["UA"]


def listed(haul_id: str, at_ms: int) -> dict[str, Any]:
    """A haul as a board has it."""
    return {"haul_id": haul_id, "destination": "IAH", "scheduled_departure": at_ms, "departure_delay_minutes": 2}


async def test_the_departure_board_puts_the_partitions_together(
    client: ClientSession, servers: Servers, prefix: str
) -> None:
    topic, at = f"{prefix}hauls.events", 1_357_035_300_000
    token = {"Atlas-Token": f"{topic}/1@11", "Prefer": "wait=0"}
    async with open_redis(servers.redis_url) as redis:
        board = DocumentsStore(redis, DEPARTURES.model, namespace=prefix).rows(1)
        await board.add_positions([(topic, 0), (topic, 1)])
        for partition, ids in ((0, ("a", "d", "e")), (1, ("b", "c"))):
            async with client.get("/departures/BRD", headers=token) as response:
                assert response.status == 503
            hauls = [listed(f"f{each}", at + ord(each)) for each in ids]
            row = {"origin": "BRD", "hauls": hauls, "_partition": partition, "_offset": 0}
            await board.write(Batch([Advance(topic, partition, 0, 12, 3)], {("BRD", partition): row}))
    async with client.get("/departures/BRD?limit=4", headers=token) as response:
        assert response.status == 200
        shown = await response.json()
        tag = response.headers["ETag"]
    assert [haul["haul_id"] for haul in shown["items"]] == ["fe", "fd", "fc", "fb"]
    assert shown["items"][0]["scheduled_departure"] == "2013-01-01T10:15:00.101Z"
    async with client.get("/departures/BRD?limit=4", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    async with client.get("/departures/BRD?limit=21") as response:
        assert response.status == 422


async def test_a_query_waits_for_the_write_it_has_to_see(client: ClientSession, connection: asyncpg.Connection) -> None:
    yard_id = str(uuid.uuid4())
    headers = {"Atlas-Token": f"yards/{yard_id}@1"}

    async def get() -> int:
        async with client.get(f"/yards/{yard_id}", headers=headers) as response:
            return response.status

    reading = asyncio.create_task(get())
    done, _ = await asyncio.wait({reading}, timeout=0.2)
    assert not done, "the query did not wait"
    await put_yard(connection, yard_id=yard_id)
    assert await reading == 200


async def test_a_query_says_when_it_cannot_see_the_write(client: ClientSession) -> None:
    token = f"yards/{uuid.uuid4()}@1"
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with client.get("/yards", params={"token": token}, headers={"Prefer": "wait=1"}) as response:
        problem = await response.json()
    assert 0.9 < loop.time() - started < 4
    assert (response.status, problem["type"]) == (503, "urn:atlas:problem:not-yet-visible")
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("path", "projection"), [("/hauls", "hauls"), ("/carriers", "carriers"), ("/routes", "routes")]
)
async def test_a_query_waits_for_the_records_of_its_token(
    client: ClientSession, connection: asyncpg.Connection, prefix: str, path: str, projection: str
) -> None:
    topic, partition = f"{prefix}hauls.events", {"hauls": 10, "carriers": 11, "routes": 12}[projection]
    headers = {"Atlas-Token": f"{topic}/{partition}@41", "Prefer": "wait=0"}
    await move(connection, projection, topic, partition, 41)
    async with client.get(path, headers=headers) as response:
        assert response.status == 503
    await move(connection, projection, topic, partition, 42)
    async with client.get(path, headers=headers) as response:
        assert response.status == 200


async def test_a_token_of_a_command_is_of_no_use_for_hauls(client: ClientSession) -> None:
    async with client.get("/hauls", headers={"Atlas-Token": "hauls/x@1"}) as response:
        assert response.status == 422
