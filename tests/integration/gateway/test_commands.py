"""What every command does around its own work: the event beside the state."""

from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent
from atlas_contracts.registry import Registry
from atlas_gateway.commands import Of, WrongSource, emit
from atlas_local.home import ROOT
from atlas_outbox.headers import unpack_headers

pytestmark = pytest.mark.integration

USER = {
    "user_id": "0190f3c4-0000-7000-8000-000000000001",
    "email": "ada@example.org",
    "display_name": "Ada",
    "country": "GB",
    "registered_at": 1_700_000_000_000,
}
COUNT = "SELECT count(*) FROM outbox.records"


@pytest.fixture
def resources() -> Any:
    registry = Registry.load(ROOT / "schemas")
    return SimpleNamespace(registry=registry, codec=Codec(registry))


async def test_a_value_that_does_not_fit_names_its_field_before_anything_is_written(
    database: str, resources: Any
) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            of = Of(str(USER["user_id"]), 1, 1_700_000_000_000)
            with pytest.raises(InvalidEvent, match="/email: found 7"):
                await emit(connection, resources, "users.UserRegistered", {**USER, "email": 7}, of)
            # Nothing was sent to the server: the transaction is whole, and the caller may go on with it.
            assert await connection.fetchval(COUNT) == 0
            await emit(connection, resources, "users.UserRegistered", USER, of)
        row = await connection.fetchrow("SELECT * FROM outbox.records")
    finally:
        await connection.close()
    headers = dict(unpack_headers(row["headers"]))
    assert (headers["ce_type"], headers["ce_subject"]) == (b"users.UserRegistered", str(USER["user_id"]).encode())
    assert {"ce_specversion", "ce_id", "ce_source", "ce_time", "ce_sequence", "content-type"} <= headers.keys()
    assert resources.codec.decode(row["value"]).value["email"] == "ada@example.org"


async def test_a_command_emits_only_where_nobody_else_does(database: str, resources: Any) -> None:
    connection = await asyncpg.connect(database)
    try:
        with pytest.raises(WrongSource, match=r"flights\.events `source: any`.*give it `source: outbox`"):
            await emit(connection, resources, "flights.FlightDeparted", {}, Of("f", 1, 1))
        assert await connection.fetchval(COUNT) == 0
    finally:
        await connection.close()
