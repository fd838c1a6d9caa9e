"""Whatever callers make up, the gateway's metrics have no series for it."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.gateway.posting import departed

pytestmark = pytest.mark.integration

Series = set[tuple[str, tuple[tuple[str, str], ...]]]
Asked = tuple[str, str, dict[str, Any]]
TIMES = 60


async def series(client: ClientSession) -> Series:
    """Of everything that the gateway exposes."""
    async with client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return {(each.name, tuple(sorted(each.labels.items()))) for family in families for each in family.samples}


def made_up(number: int, path: str) -> Iterator[Asked]:
    """Requests of each kind that holds a text of the caller's own; none has one that another number's has."""
    one = f"{number}-{uuid.uuid4().hex}"
    word = "".join(chr(ord("A") + int(digit)) for digit in str(number))
    yield "GET", f"/yards/{uuid.uuid4()}", {}
    yield "GET", f"/{one}", {}
    yield "GET", f"/yards?{one}={one}&cursor={one}", {}
    yield ("PROPFIND", "MKCOL")[number % 2], "/yards", {}
    yield ("PURGE", "SEARCH")[number % 2], f"/{one}", {}
    yield f"MADE{word}", "/yards", {}  # a method that nobody knows is no HTTP
    yield f"MADE{number}", f"/{one}", {}
    yield "GET", f"/topics/{one}", {}
    yield "POST", f"/topics/{one}", {"json": departed()}
    yield "POST", path, {"json": departed() | {"type": f"made.Up{number}"}}
    yield "POST", path, {"json": departed() | {"id": one, "headers": {one: one}}}
    yield "POST", path, {"json": departed(), "headers": {"Idempotency-Key": one}}
    yield "POST", path, {"data": b"{}", "headers": {"Content-Type": f"application/{one}"}}
    cloud = {"ce-specversion": "1.0", "ce-id": one, "ce-source": f"/{one}", "ce-type": f"made.Up{number}"}
    yield "POST", path, {"json": departed()["value"], "headers": cloud}
    yield (
        "GET",
        f"/yards/{uuid.uuid4()}",
        {"headers": {"X-Request-ID": one, "X-Correlation-ID": one, "baggage": f"a={one}"}},
    )
    yield "GET", f"/yards/{uuid.uuid4()}", {"headers": {"traceparent": f"00-{uuid.uuid4().hex}-{number + 1:016x}-00"}}
    yield "GET", f"/yards/{uuid.uuid4()}", {"headers": {"Host": f"made-up-{number}.example.org"}}
    yield "GET", f"/yards/{uuid.uuid4()}", {"headers": {"Atlas-Token": f"made{number}/{one}@1"}}
    records = {"Atlas-Token": f"made{number}:{one}/{number}@{number}", "Prefer": "wait=0"}
    yield "GET", f"/yards/{uuid.uuid4()}", {"headers": records}


async def flood(client: ClientSession, path: str, numbers: range) -> None:
    places = asyncio.Semaphore(16)

    async def ask(method: str, where: str, options: dict[str, Any]) -> None:
        async with places, client.request(method, where, **options) as response:
            await response.read()

    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            for asked in made_up(number, path):
                tasks.create_task(ask(*asked))


async def test_no_text_of_a_caller_makes_a_series(client: ClientSession, path: str) -> None:
    await flood(client, path, range(2))  # what there is of each kind is there now
    await series(client)  # and so is this request
    before = await series(client)
    await flood(client, path, range(2, 2 + TIMES))
    after = await series(client)
    assert after - before == set()
    counted = {labels for name, labels in after if name == "atlas_http_requests_total"}
    routes = {(found["method"], found["route"]) for found in map(dict, counted)}
    assert routes >= {("_OTHER", "(no route)"), ("_OTHER", "(no HTTP)"), ("GET", "(no route)")}
