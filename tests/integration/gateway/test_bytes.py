"""Whatever bytes come in a path, a query or a header: an answer, and where it is refused a problem document."""

import json
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from tests.integration.hostile_bytes import Endpoint, faults

# Read of every request, whatever it asks for.
STANDING = ("Accept-Encoding", "Content-Type", "Content-Encoding", "Cookie", "Expect", "Host", "Origin", "Prefer",
            "X-Request-ID", "X-Correlation-ID", "traceparent", "tracestate", "baggage", "If-Match", "If-None-Match",
            "Range", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Idempotency-Key",
            "Atlas-Token", "ce-id", "ce-type", "Transfer-Encoding", "Upgrade", "Authorization")  # fmt: skip
BODIES = {"/yards": {"email": "x"}, "/subjects/{subject}": {"schema": "{}"}}
UNDOCUMENTED = (
    Endpoint("GET", "/docs/assets/{file}"),
    Endpoint("GET", "/{anything}"),
    Endpoint("DELETE", "/subjects/{subject}/versions/{version}"),
    Endpoint("PUT", "/config/{subject}", body=b"{}"),
    Endpoint("GET", "/metrics", query=("name[]",), headers=("Accept",)),
    Endpoint("OPTIONS", "/yards", headers=("Origin", "Access-Control-Request-Headers")),
    Endpoint("HEAD", "/yards"),
)


async def _documented(client: ClientSession, prefix: str) -> list[Endpoint]:
    async with client.get("/openapi.json") as response:
        paths = (await response.json())["paths"]
    found = []
    for path, operations in paths.items():
        for method, operation in operations.items():
            parameters = operation.get("parameters", [])
            query = tuple(part["name"] for part in parameters if part["in"] == "query")
            headers = tuple(part["name"] for part in parameters if part["in"] == "header")
            body = json.dumps(BODIES.get(path, {})).encode() if "requestBody" in operation else b""
            found.append(Endpoint(method.upper(), path, query, headers, body))
    posts = Endpoint("POST", f"/topics/{prefix}hauls.events", (), STANDING, b'{"type": "x", "value": {}}')
    return [*found, posts, Endpoint("POST", "/yards", (), STANDING, b"{}"), *UNDOCUMENTED]


async def test_every_byte_class_at_every_place(gateway_url: str, client: ClientSession, prefix: str) -> None:
    address = urlsplit(gateway_url)
    assert address.hostname is not None
    assert address.port is not None
    endpoints = await _documented(client, prefix)
    assert len(endpoints) > 30
    found = await faults(address.hostname, address.port, endpoints)
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:50])
    async with client.get("/health/ready") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/yards?token=yards/%00@1", {}, 422),
        ("GET", "/yards/x", {"Atlas-Token": "yards/a@\u0663"}, 422),
        ("GET", "/yards/x", {"Atlas-Token": "a.b/\u0663@1"}, 422),
        ("POST", "/topics/%00", {"Content-Type": "application/json"}, 404),
        ("GET", "/yards?limit=%D9%A3", {}, 422),
    ],
)
async def test_what_is_refused_says_so(
    client: ClientSession, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with client.request(method, path, headers=headers, data=b"{}" if method == "POST" else None) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["status"]) == (status, status)
