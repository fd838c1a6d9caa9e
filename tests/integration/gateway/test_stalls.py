"""No request holds the event loop: a gateway in this process, a probe beside it, hostile requests from a thread."""

import asyncio
import gc
import gzip
import http.client
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from atlas_gateway import app
from atlas_gateway.settings import GatewaySettings
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until

from tests.integration.gateway.conftest import free_port
from tests.integration.gateway.posting import departed
from tests.unit.gateway.stalls import STALL_MAX_S, watched

Send = Callable[..., int]

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def thresholds() -> Any:
    """A gateway sets the collector for its whole process."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.fixture
async def send(servers: Servers, dsn: str, schemas: Path, prefix: str, thresholds: None) -> AsyncIterator[Send]:
    """`send("POST", path, body, headers)` gives the status; call it in a thread."""
    settings = GatewaySettings(
        schemas_dir=schemas,
        kafka_brokers=servers.kafka_brokers,
        postgres_dsn=dsn,  # type: ignore[arg-type]
        redis_url=servers.redis_url,
        redis_namespace=prefix,
        http_port=free_port(),
    )

    def one(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", settings.http_port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            said = response.read()[:500]
        finally:
            connection.close()
        assert response.status < 500, said
        return response.status

    stop = asyncio.Event()
    serving = asyncio.create_task(app.serve(settings, stop))

    async def ready() -> bool:
        try:
            return await asyncio.to_thread(one, "GET", "/health/ready") == 200
        except OSError:
            return False

    await wait_until("the gateway is ready", ready, 20)
    yield one
    stop.set()
    await serving


def _record(**value: Any) -> bytes:
    return json.dumps({"type": "hauls.HaulDeparted", "value": value}).encode()


NDJSON, JSON = {"Content-Type": "application/x-ndjson"}, {"Content-Type": "application/json"}
GOOD = b"\n".join(json.dumps(departed()).encode() for _ in range(20_000))
POSTS: dict[str, tuple[bytes, dict[str, str]]] = {
    "lines of no record": (b"1\n" * 1_000_000, NDJSON),
    "lines of brackets": (b"[]\n" * 1_000_000, NDJSON),
    "broken lines": (b"{\n" * 1_000_000, NDJSON),
    "blank lines": (b"\n" * 16_000_000, NDJSON),
    "one object of arrays": (b'{"a":[' + b"[]," * 5_500_000 + b"1]}", JSON),
    "one array of arrays": (b"[" + b"[]," * 5_500_000 + b"1]", JSON),
    "as many members as may be": (_record(a=[1] * 9_000, b=dict.fromkeys(map(str, range(9_000)), "x")), JSON),
    "as many unknown fields": (_record(**dict.fromkeys(map(str, range(19_000)), "x")), JSON),
    "as many attributes": (json.dumps(dict.fromkeys(map(str, range(19_000)), "x")).encode(), JSON),
    "as many headers": (
        json.dumps({"value": 1, "headers": dict.fromkeys(map(str, range(19_000)), "x")}).encode(),
        JSON,
    ),
    "one long name": (json.dumps({"type": "hauls.HaulDeparted", "value": {"x" * 1_900_000: 1}}).encode(), JSON),
    "one long text": (_record(truck_number="N" * 1_900_000), JSON),
    "one long text of escapes": (_record(truck_number="\n" * 900_000), JSON),
    "good records": (GOOD, NDJSON),
    "an array of good records": (b"[" + GOOD.replace(b"\n", b",") + b"]", JSON),
}


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", POSTS)
async def test_no_post_holds_the_loop(send: Send, path: str, name: str, keyed: bool) -> None:
    body, headers = POSTS[name]
    headers = {**headers, "Content-Encoding": "gzip"}
    packed = gzip.compress(body, 1)

    def post() -> int:
        key = {"Idempotency-Key": uuid.uuid4().hex} if keyed else {}
        return send("POST", path, packed, headers | key)

    await _is_free_during(post)


QUERY = "&".join(f"a{number}=1" for number in range(1100))
REQUESTS: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "a command of many members": (
        "POST",
        "/yards",
        json.dumps(dict.fromkeys(map(str, range(6000)), 1)).encode(),
        JSON,
    ),
    "a command of brackets": ("POST", "/yards", b"[" * 60_000, JSON),
    "a command of arrays": ("POST", "/yards", b'{"email": [' + b"[]," * 20_000 + b"1]}", JSON),
    "many parameters": ("GET", f"/yards?{QUERY}", b"", {}),
    "one parameter many times": ("GET", "/yards?" + "a=1&" * 2000, b"", {}),
    "many escapes": ("GET", "/yards?search=" + "%00" * 2600, b"", {}),
    "a token of many parts": ("GET", "/yards?token=" + "a.b/1@1;" * 1000, b"", {}),
    "long headers": ("GET", "/yards", b"", {f"Prefer{number or ''}": ", wait =" * 900 for number in range(10)}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_no_request_holds_the_loop(send: Send, name: str) -> None:
    await _is_free_during(lambda: send(*REQUESTS[name]))


async def _is_free_during(request: Callable[[], int]) -> None:
    stalls = []
    for _ in range(3):  # one of them may meet the heartbeat, a metrics scrape, or a page fault
        async with watched() as watch:
            await asyncio.to_thread(request)
        stalls.append(watch.longest_s)
        if watch.longest_s < STALL_MAX_S:
            break
    assert min(stalls) < STALL_MAX_S
