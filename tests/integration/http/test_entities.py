"""Entities of commands on a real database: created, changed, refused, each with its event in the outbox."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import hdrs, web
from aiohttp.test_utils import make_mocked_request
from atlas_cli.scaffold.contexts import new_context
from atlas_cli.scaffold.events import Wanted, new_event
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_http.entities import Entity, now
from atlas_http.problems import Problem
from atlas_http.resources import RESOURCES, Resources

from tests.contexts import SCHEMAS

pytestmark = pytest.mark.integration
ORDERS = Entity("orders", "app.orders", key="order_id", what="order")
TABLE = """
CREATE TABLE app.orders (
    order_id uuid PRIMARY KEY, version bigint NOT NULL, number text NOT NULL,
    price numeric(9, 2) NOT NULL CHECK (price > 0),
    day date, tags text[], "placed_at" timestamptz, paid_at timestamptz, CONSTRAINT orders_number UNIQUE (number)
)
"""
PLACED = {
    "number": "A1", "price": Decimal("19.90"), "day": date(2024, 2, 29), "tags": ["new", "blue"],
    "placed_at": datetime(2024, 2, 29, 10, 15, 0, 250_000, UTC),
}  # fmt: skip

TOO_FINE = datetime(2024, 1, 1, 0, 0, 0, 1, UTC)

Ask = Callable[..., web.Request]


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    await connection.execute(TABLE)
    yield connection
    await connection.close()


@pytest.fixture
def codec(tmp_path: Path) -> Codec:
    shutil.copytree(SCHEMAS, tmp_path / "schemas")
    new_context(tmp_path, "shop", "What is sold.").apply()
    typed = "order_id:uuid number:string price:decimal(9,2) day:date? tags:string[] placed_at:timestamp"
    new_event(tmp_path, Wanted("shop.OrderPlaced", typed.split())).apply()
    new_event(tmp_path, Wanted("shop.OrderPaid", ["order_id:uuid", "paid_at:timestamp"])).apply()
    return Codec(Registry.load(tmp_path / "schemas"))


@pytest.fixture
def ask(tmp_path: Path, codec: Codec) -> Ask:
    app = web.Application()
    registry = Registry.load(tmp_path / "schemas")
    app[RESOURCES] = Resources(None, registry, codec, None, None, None)  # type: ignore[arg-type]

    def request(order_id: str = "", **headers: str) -> web.Request:
        return make_mocked_request("POST", "/", headers=headers, app=app, match_info={"order_id": order_id})

    return request


async def create(connection: asyncpg.Connection, request: web.Request, **changed: Any) -> Any:
    async with connection.transaction():
        return await ORDERS.create(connection, request, "shop.OrderPlaced", PLACED | changed)


async def pay(connection: asyncpg.Connection, request: web.Request, **values: Any) -> Any:
    async with connection.transaction():
        return await ORDERS.change(connection, request, "shop.OrderPaid", values or {"paid_at": now()})


async def events(connection: asyncpg.Connection, codec: Codec) -> list[tuple[str, dict[str, Any], int]]:
    rows = await connection.fetch("SELECT * FROM outbox.records ORDER BY id")
    found = [(codec.decode(row["value"]), dict(row)) for row in rows]
    return [(event.type, event.value, b"ce_sequence" in str(row).encode()) for event, row in found]


async def test_a_new_one_and_a_change(connection, codec: Codec, ask: Ask) -> None:
    made = await create(connection, ask())
    told = json.loads(made.body)
    order_id = str(UUID(told["id"]))
    assert (made.status, told["version"], made.headers[hdrs.ETAG]) == (201, 1, '"1"')
    assert made.headers["Location"] == f"/orders/{order_id}"
    assert made.headers["Atlas-Token"] == f"orders/{order_id}@1"
    changed = await pay(connection, ask(order_id, **{"If-Match": '"1"'}))
    assert (changed.status, json.loads(changed.body)) == (200, {"id": order_id, "version": 2})
    (placed, value, _), (paid, later, _) = await events(connection, codec)
    assert (placed, paid) == ("shop.OrderPlaced", "shop.OrderPaid")
    assert value["price"] == Decimal("19.90")
    assert value["day"] == (date(2024, 2, 29) - date(1970, 1, 1)).days
    assert value["placed_at"] == 1_709_201_700_250
    assert later["order_id"] == value["order_id"] == order_id


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"number": "A1"}, "already-there", "Another order has the same number."),
        ({"number": "A2", "price": Decimal(-1)}, "invalid", "The order breaks the rule orders_price_check."),
        ({"number": "A2", "price": None}, "invalid", "The order breaks the rule price must not be null."),
        ({"number": "A\0"}, "invalid", "The order can't be held: "),
        ({"number": "A2", "price": Decimal("1e9")}, "invalid", "The order can't be held: "),
        (
            {"number": "A2", "placed_at": TOO_FINE},
            "invalid",
            "The order is no shop.OrderPlaced.",
        ),
    ],
)
async def test_what_is_refused_changes_nothing(
    connection, codec: Codec, ask: Ask, changed: dict[str, Any], kind: str, said: str
) -> None:
    await create(connection, ask())
    with pytest.raises(Problem) as refused:
        await create(connection, ask(), **changed)
    assert refused.value.kind.slug == kind
    assert str(refused.value).startswith(said)
    assert await connection.fetchval("SELECT count(*) FROM app.orders") == 1
    assert len(await events(connection, codec)) == 1


async def test_which_one_is_not_there_or_at_another_version(connection, ask: Ask) -> None:
    order_id = json.loads((await create(connection, ask())).body)["id"]
    for request, kind in (
        (ask("nobody"), "not-found"),
        (ask("0f8fad5b-d9cb-469f-a165-70867728950e"), "not-found"),
        (ask(order_id, **{"If-Match": '"2"'}), "stale-version"),
        (ask(order_id, **{"If-Match": 'W/"1"'}), "stale-version"),
    ):
        with pytest.raises(Problem) as refused:
            await pay(connection, request)
        assert refused.value.kind.slug == kind
    for tag in ("*", '"9", "1"'):
        assert (await pay(connection, ask(order_id, **{"If-Match": tag}))).status == 200
        await connection.execute("UPDATE app.orders SET version = 1")


def test_now_is_as_exact_as_a_timestamp() -> None:
    assert now().microsecond % 1000 == 0
    assert now().tzinfo is UTC
