"""What every command does around its own work: the event beside the state."""

import json
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from atlas_avro.durations import Duration
from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent
from atlas_contracts.registry import Registry
from atlas_http.bodies import Body
from atlas_http.commands import Of, WrongSource, emit, run
from atlas_http.idempotency import Answer, Connection
from atlas_http.incoming import read_command
from atlas_http.resources import RESOURCES
from atlas_http.routes import Route
from atlas_kafka_format.headers import unpack_headers
from atlas_readmodel.columns.json_rows import dumps, plain
from pydantic import Field

from tests.avro_records import record
from tests.contexts import SCHEMAS
from tests.serving import Client, serving

pytestmark = pytest.mark.integration

YARD = {
    "yard_id": "0190f3c4-0000-7000-8000-000000000001",
    "email": "ada@example.org",
    "display_name": "Ada",
    "country": "GB",
    "registered_at": 1_700_000_000_000,
}
COUNT = "SELECT count(*) FROM outbox.records"


@pytest.fixture
def resources() -> Any:
    registry = Registry.load(SCHEMAS)
    return SimpleNamespace(registry=registry, codec=Codec(registry))


async def test_a_value_that_does_not_fit_names_its_field_before_anything_is_written(
    database: str, resources: Any
) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            of = Of(str(YARD["yard_id"]), 1, 1_700_000_000_000)
            with pytest.raises(InvalidEvent, match="/email: found 7"):
                await emit(connection, resources, "yards.YardRegistered", {**YARD, "email": 7}, of)
            # Nothing was sent to the server: the transaction is whole, and the caller may go on with it.
            assert await connection.fetchval(COUNT) == 0
            await emit(connection, resources, "yards.YardRegistered", YARD, of)
        row = await connection.fetchrow("SELECT * FROM outbox.records")
    finally:
        await connection.close()
    headers = dict(unpack_headers(row["headers"]))
    assert (headers["ce_type"], headers["ce_subject"]) == (
        b"yards.YardRegistered",
        str(YARD["yard_id"]).encode(),
    )
    assert {"ce_specversion", "ce_id", "ce_source", "ce_time", "ce_sequence", "content-type"} <= headers.keys()
    assert resources.codec.decode(row["value"]).value["email"] == "ada@example.org"


async def test_a_command_emits_only_where_nobody_else_does(database: str, resources: Any) -> None:
    connection = await asyncpg.connect(database)
    try:
        with pytest.raises(WrongSource, match=r"hauls\.events `source: any`.*give it `source: outbox`"):
            await emit(connection, resources, "hauls.HaulDeparted", {}, Of("f", 1, 1))
        assert await connection.fetchval(COUNT) == 0
    finally:
        await connection.close()


SOLD = record(
    "shop.Sold",
    sale="string",
    price={"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10},
    day={"type": "int", "logicalType": "date"},
    at={"type": "long", "logicalType": "timestamp-micros"},
    uid={"type": "string", "logicalType": "uuid"},
    span={"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"},
)


class Sell(Body):
    """A body with a value of each type that JSON has as text."""

    price: Annotated[Decimal, Field(max_digits=38, decimal_places=10)]
    day: date
    at: datetime
    uid: UUID


async def sell(request: web.Request) -> web.Response:
    body = await read_command(request, Sell)

    async def effect(connection: Connection) -> Answer:
        value = {"sale": "s1", **body.model_dump(), "span": Duration(1, 2, 3)}
        await emit(connection, request.app[RESOURCES], "shop.Sold", value, Of("s1", 1, 1))
        return Answer(201, dumps(plain(value)), {"Content-Type": "application/json"})

    return await run(request, body, effect)


@pytest.fixture
async def shop(database: str, tmp_path: Path) -> AsyncIterator[tuple[Client, Any, Codec]]:
    (tmp_path / "shop").mkdir()
    (tmp_path / "topics.yaml").write_text(
        "topics:\n  shop.events:\n    key: sale\n    events: [shop.Sold]\n    partitions: 1\n    retention: forever\n"
    )
    (tmp_path / "shop" / "sold.v1.avsc").write_text(json.dumps(SOLD))
    add(tmp_path, "shop/sold.v1.avsc")
    async with serving(database, tmp_path, [Route("POST", "/sell", sell, "shop", "Sell")]) as served:
        yield served


async def test_a_command_with_a_decimal_happens_once_and_its_event_is_exact(shop: Any) -> None:
    client, pool, codec = shop
    price = "9999999999999999999999999999.0000000001"
    uid = "0190f3c4-0000-7000-8000-000000000abc"
    body = f'{{"price": {price}, "day": "0001-01-01", "at": "9999-12-31T23:59:59.999999Z", "uid": "{uid}"}}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k1"}
    for _ in range(2):
        answer = await client.post("/sell", data=body, headers=headers)
        assert answer.status == 201, await answer.text()
        assert await answer.json() == {
            "sale": "s1", "price": price, "day": "0001-01-01", "at": "9999-12-31T23:59:59.999999Z", "uid": uid,
            "span": "P1M2DT0.003S",
        }  # fmt: skip
    other = await client.post("/sell", data=body.replace(price, f'"{price[:-1]}2"'), headers=headers)
    assert other.status == 422, "another price is another request"
    (row,) = await pool.fetch("SELECT * FROM outbox.records")
    assert codec.decode(row["value"]).value == {
        "sale": "s1", "price": Decimal(price), "day": -719_162, "at": 253_402_300_799_999_999, "uid": uid,
        "span": Duration(1, 2, 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("price", "status"), [("1", 201), ('"1.5"', 201), ("1e-11", 422), ("[]", 422), ('"x"', 422), ("1e400", 400)]
)
async def test_a_price_in_any_form_is_taken_or_refused(shop: Any, price: str, status: int) -> None:
    client, pool, _ = shop
    body = f'{{"price": {price}, "day": "2024-02-29", "at": "2024-01-01T00:00:00Z", "uid": "{UUID(int=1)}"}}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k1"}
    answer = await client.post("/sell", data=body, headers=headers)
    assert answer.status == status, await answer.text()
    assert await pool.fetchval(COUNT) == (status == 201)
