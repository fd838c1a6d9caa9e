"""Whatever bytes come to a service of a running mesh: an answer, and where it is refused a problem document."""

import re
from urllib.parse import urlsplit

import pytest
from atlas_local.home import ROOT
from atlas_local.testing import TestMesh

from tests.integration.hostile_bytes import CLASSES, Endpoint, faults

HEADERS = ("Content-Type", "Accept", "Cookie", "Host", "Origin", "Content-Encoding", "If-Match", "Transfer-Encoding")
PROBES = (
    Endpoint("GET", "/health"),
    Endpoint("GET", "/health/live", headers=HEADERS),
    Endpoint("GET", "/health/ready"),
    Endpoint("GET", "/metrics", query=("name[]",), headers=("Accept",)),
    Endpoint("GET", "/{anything}"),
)
SELECTION = ("verify", "fresh", "into", "until_ms", "key", "type")
ENDPOINTS: dict[str, tuple[Endpoint, ...]] = {
    "relay": (
        Endpoint("GET", "/outbox", headers=HEADERS),
        Endpoint("GET", "/outbox/parked", ("after", "limit", "topic", "waiting")),
        Endpoint("POST", "/outbox/parked/retry", headers=HEADERS, body=b'{"ids": [1]}'),
        Endpoint("POST", "/outbox/parked/discard", headers=HEADERS, body=b'{"ids": [1]}'),
    ),
    "projector": (
        Endpoint("GET", "/projections"),
        Endpoint("POST", "/projections/{name}/rebuild", SELECTION, HEADERS, b"{}"),
        Endpoint("GET", "/projections/{name}/rebuild", headers=HEADERS),
        Endpoint("DELETE", "/projections/{name}/rebuild"),
        Endpoint("POST", "/projections/{name}/rollback", headers=HEADERS, body=b"{}"),
        Endpoint("POST", "/projections/{name}/begin", ("from", "topic"), HEADERS, b"{}"),
        Endpoint("GET", "/dead-letters", ("projection", "all")),
        Endpoint("GET", "/dead-letters/{id}"),
        Endpoint("GET", "/dead-letters/yards/{topic}/0@0"),
        Endpoint("GET", "/dead-letters/yards/yards.events/{partition}@0"),
        Endpoint("GET", "/dead-letters/yards/yards.events/0@{offset}"),
        Endpoint("POST", "/dead-letters/retry", headers=HEADERS, body=b'{"ids": ["yards/yards.events/0@1"]}'),
        Endpoint("POST", "/dead-letters/drop", headers=HEADERS, body=b'{"ids": ["yards/yards.events/0@1"]}'),
        Endpoint("POST", "/dead-letters/skip", headers=HEADERS, body=b'{"ids": ["yards/yards.events/0@1"]}'),
        Endpoint("GET", "/projections/{name}/owner"),
        Endpoint("POST", "/projections/{name}/left-out", headers=HEADERS, body=b'{"ids": ["yards/yards.events/0@1"]}'),
    ),
    "archiver": (),
    "health-aggregator": (
        Endpoint("GET", "/health/mesh", ("service",)),
        Endpoint("GET", "/lag", ("group", "topic")),
        Endpoint("GET", "/groups", ("group", "limit", "cursor")),
        Endpoint("GET", "/ledger", ("topic", "limit", "cursor")),
        Endpoint("GET", "/lag/history", ("group", "topic", "from", "to", "step", "limit", "cursor")),
    ),
}
# As JSON text or a number, in the bodies that take ids.
VALUES = (b'""', b'"\\u0000"', b'"a\\u0000b"', b'"\\ud800"', b'"' + b"a" * 5000 + b'"', b"0", b"-1", b"1.5", b"1e400",
          b"9223372036854775808", b"-99999999999999999999999999", b"9" * 5000, b"null", b"true", b"[]", b"{}", b"\xff",
          b'"\xff"', b"[" * 50_000, b'"yards/yards.events/0@9223372036854775808"', b'"yards/a\\u0000/0@1"',
          b'"yards/yards.events/\xd9\xa3@1"')  # fmt: skip
BODIES = (b"", b"\x00", b"[", b"null", b"[]", b"1", b"{}", b'{"ids": [' + b"1," * 100_000 + b"1]}",
          b'{"ids": [' + b'"x",' * 100_000 + b'"x"]}',
          *(b'{"ids": [' + value + b"]}" for value in VALUES), *(b'{"ids": ' + value + b"}" for value in VALUES),
          *(b'{"topic": ' + value + b"}" for value in VALUES), *(b'{"projection": ' + value + b"}" for value in VALUES),
          *(b'{"ids": ["yards/yards.events/0@1"], "reason": ' + value + b"}" for value in VALUES),
          *(b'{"all": ' + value + b"}" for value in VALUES if value != b"true"))  # fmt: skip


def test_every_endpoint_is_tried() -> None:
    declared = {
        (match[1].upper(), match[2])
        for service in ENDPOINTS
        for module in (ROOT / "services" / service).rglob("*.py")
        for match in re.finditer(r'web\.(get|post|put|delete|patch)\(\s*"([^"]+)"', module.read_text())
    }
    tried = {(endpoint.method, endpoint.path) for endpoints in ENDPOINTS.values() for endpoint in endpoints}
    assert {(method, path.replace("{id:.+}", "{id}")) for method, path in declared} <= tried


@pytest.mark.parametrize("service", ENDPOINTS)
async def test_every_byte_class_at_every_place(mesh: TestMesh, service: str) -> None:
    address = urlsplit(mesh.url(service))
    assert address.hostname is not None
    assert address.port is not None
    endpoints = [*PROBES, *ENDPOINTS[service]]
    found = await faults(address.hostname, address.port, endpoints, at_once=4)
    posts = [endpoint for endpoint in ENDPOINTS[service] if endpoint.body]
    bodies = [Endpoint(post.method, post.path, body=body) for post in posts for body in BODIES]
    found += await faults(address.hostname, address.port, bodies, classes={"nothing": CLASSES["nothing"]})
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:50])
