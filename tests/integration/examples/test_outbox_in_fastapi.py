"""The outbox in a service on FastAPI and SQLAlchemy, with the relay of the README beside it."""

import asyncio
import re
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from atlas_contracts.codec import Codec
from atlas_local.ports import free_port
from atlas_local.testing import Servers, database_url
from atlas_local.waiting import wait_until

from tests.bench.relays import RelayProcess, running

pytestmark = pytest.mark.integration

NAME = "outbox-in-fastapi"
ITEMS = 40


@pytest.fixture
async def dsn(servers: Servers) -> AsyncIterator[str]:
    """A database of the service's own, empty."""
    name = f"shop_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(servers.postgres_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield database_url(servers.postgres_dsn, name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def events_of(servers: Servers, topic: str, order_id: str, count: int) -> list[Any]:
    """The first records of the order on the topic, as a consumer sees them that reads what is committed."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers.kafka_brokers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    found: list[Any] = []
    try:

        async def enough() -> bool:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                found.extend(record for record in records if record.key == order_id.encode())
            return len(found) >= count

        await wait_until(f"{count} events of the order", enough, 60)
    finally:
        await consumer.stop()
    return found


async def test_each_change_has_its_event_and_what_is_refused_has_none(
    servers: Servers, topic: str, codec: Codec, dsn: str, example: Callable[[str], Any], tmp_path: Path
) -> None:
    shop, port, order_id = example(NAME), free_port(), uuid.uuid4().hex
    relay = RelayProcess(
        servers.kafka_brokers, dsn, tmp_path / "relay.log", progress_topic=f"outbox.{uuid.uuid4().hex[:8]}"
    )
    (migration,) = re.findall(r"(?m)^\$ (alembic .*)", (shop.folder / "README.md").read_text())
    await shop.run("-m", *migration.split(), SHOP_DSN=dsn)
    url = f"http://127.0.0.1:{port}/orders/{order_id}/items"
    async with (
        # Uvicorn, once all is closed, ends by the signal that it got.
        shop.running(*("-m", "uvicorn", "service:app", "--port", str(port)), ends_with=-signal.SIGTERM, SHOP_DSN=dsn),
        running(relay),
        aiohttp.ClientSession() as session,
    ):

        async def add(item: str, cents: int) -> int:
            async with session.post(url, json={"item": item, "cents": cents}) as answer:
                return answer.status

        async def answers() -> bool:
            try:
                async with session.get(f"http://127.0.0.1:{port}/openapi.json") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await wait_until(f"the service to answer; its log is {shop.log}", answers, 60)
        # At once: only the lock on the order's row keeps its events in the order of its versions.
        assert set(await asyncio.gather(*(add(f"item {n}", 100) for n in range(ITEMS)))) == {201}
        assert await add("a castle", 1_000_000) == 409
        assert await add("the last one", 5) == 201
        found = await events_of(servers, topic, order_id, ITEMS + 1)

    headers = [dict(record.headers) for record in found]
    assert [int(each["ce_sequence"]) for each in headers] == list(range(1, ITEMS + 2))
    assert len({each["ce_id"] for each in headers}) == ITEMS + 1
    values = [codec.decode(record.value).value for record in found]
    assert {value["item"] for value in values[:-1]} == {f"item {n}" for n in range(ITEMS)}
    assert values[-1]["item"] == "the last one"
    connection = await asyncpg.connect(dsn)
    assert tuple(await connection.fetchrow("SELECT items, cents FROM orders")) == (
        ITEMS + 1,
        sum(value["cents"] for value in values),
    )
    branches = await connection.fetch("SELECT split_part(version_num, '_', 1) AS name FROM alembic_version")
    assert {row["name"] for row in branches} == {"outbox", "shop"}
    await connection.close()
