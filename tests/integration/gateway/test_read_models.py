"""A read model that only says how it is read: keys, filters, orders and pages of types that JSON does not have."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_gateway.middleware import context, problems
from atlas_gateway.opened import GATEWAY, Requests
from atlas_gateway.read_models import routes, versioned
from atlas_http.resources import RESOURCES
from atlas_projection.projection import Projection
from atlas_projection.reads import By, Reads
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.pg_codecs import set_reading_codecs
from atlas_readmodel.reader import Reader
from atlas_readmodel.table import ReadModel, Table

pytestmark = pytest.mark.integration

SALES = Projection(
    name="sales",
    version=1,
    topics=("sales.events",),
    table=Table(
        columns={
            "id": "uuid NOT NULL",
            "day": "date NOT NULL",
            "number": "bigint NOT NULL",
            "price": "numeric(12, 2)",
            "open": "boolean NOT NULL",
            "version": "bigint NOT NULL",
        },
        key=("id",),
        indexes=("(day DESC, id)", "(number)", "(open, id)"),
    ),
    versioned="version",
    handlers={},
    reads=Reads(
        path="/sales",
        what="sale",
        order=("day DESC", "id"),
        sorts={"open": ("open", "id")},
        filters={"day": By(), "nr": By(column="number"), "open": By()},
        page=2,
    ),
)


@pytest.fixture
async def client(database: str) -> AsyncIterator[TestClient[Any, Any]]:
    model = SALES.model
    assert isinstance(model, ReadModel)
    async with asyncpg.create_pool(database, min_size=1, max_size=2, init=set_reading_codecs) as pool:
        async with pool.acquire() as connection:
            await generations.ensure_live(connection, model)
            await connection.executemany(
                "INSERT INTO readmodel.sales_g1 (id, day, number, price, open, version, _offset)"
                " VALUES ($1, $2, $3, $4, $5, 3, 0)",
                [
                    (str(UUID(int=n)), date(2024, 2, 27 + n % 3), 2**53 + n, Decimal(n) / 4, n % 2 == 0)
                    for n in range(5)
                ],
            )
        app = web.Application(middlewares=[context, problems])
        resources: Any = SimpleNamespace(
            settings=SimpleNamespace(gateway_read_your_write_s=1),
            reader=Reader(pool, None, versioned=versioned([SALES])),
            requests=Requests(),
        )
        app[RESOURCES] = app[GATEWAY] = resources
        app.add_routes([web.route(route.method, route.path, route.handler) for route in routes([SALES])])
        async with TestClient(TestServer(app)) as client:
            yield client


async def ids(client: TestClient[Any, Any], query: str) -> list[int]:
    """The ids of all pages."""
    found: list[int] = []
    cursor = ""
    while True:
        async with client.get(f"/sales?{query}{cursor}") as response:
            page = await response.json()
            assert response.status == 200, page
        found += [UUID(item["id"]).int for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def test_one_row_by_a_key_that_is_no_text(client: TestClient[Any, Any]) -> None:
    async with client.get(f"/sales/{UUID(int=1)}?token=sales/{UUID(int=1)}@3") as response:
        assert await response.json() == {
            "id": str(UUID(int=1)), "day": "2024-02-28", "number": 2**53 + 1, "price": "0.25", "open": False,
            "version": 3,
        }  # fmt: skip
        assert response.headers["ETag"] == '"3"'
    for key in ("nope", str(UUID(int=99))):
        async with client.get(f"/sales/{key}") as response:
            assert response.status == 404


async def test_pages_in_each_order(client: TestClient[Any, Any]) -> None:
    assert await ids(client, "") == [2, 1, 4, 0, 3]
    assert await ids(client, "sort=open&limit=1") == [1, 3, 0, 2, 4]


async def test_filters_are_read_as_their_column(client: TestClient[Any, Any]) -> None:
    assert await ids(client, "day=2024-02-28") == [1, 4]
    assert await ids(client, f"nr={2**53 + 1}") == [1]
    assert await ids(client, "open=true&day=2024-02-29") == [2]


@pytest.mark.parametrize(
    ("query", "path"),
    [("day=tomorrow", "/day"), ("nr=1.5", "/nr"), (f"nr={2**63}", "/nr"), ("open=1", "/open"), ("sort=price", "/sort"),
     ("day=%00", "/day")],
)  # fmt: skip
async def test_what_no_value_of_the_column_is_names_the_parameter(
    client: TestClient[Any, Any], query: str, path: str
) -> None:
    async with client.get(f"/sales?{query}") as response:
        problem = await response.json()
    assert response.status == 422
    assert problem["errors"][0]["path"] == path
