"""Spans of OTLP in Zipkin's form, and a receiver that hands them on."""

import asyncio
import sys
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_local.servers.otlp_to_zipkin import application, run, spans_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def request() -> ExportTraceServiceRequest:
    """Two spans of a service, the second failed and with links."""
    sent = ExportTraceServiceRequest()
    resource = sent.resource_spans.add()
    for key, value in (("service.name", "relay"), ("service.instance.id", "relay-1")):
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_spans.add()
    first = scope.spans.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, name="send outbox", kind=4)
    first.start_time_unix_nano, first.end_time_unix_nano = 1_000_000_000, 1_000_500_000
    first.attributes.add(key="messaging.batch.message_count").value.int_value = 3
    second = scope.spans.add(trace_id=b"\x01" * 16, span_id=b"\x03" * 8, parent_span_id=b"\x02" * 8, name="x", kind=1)
    second.status.code, second.status.message = 2, "TimeoutError"
    second.links.add(trace_id=b"\x09" * 16)
    return sent


EXPECTED = [
    {
        "traceId": "01" * 16,
        "id": "02" * 8,
        "name": "send outbox",
        "timestamp": 1_000_000,
        "duration": 500,
        "localEndpoint": {"serviceName": "relay"},
        "tags": {"messaging.batch.message_count": "3", "service.instance.id": "relay-1"},
        "kind": "PRODUCER",
    },
    {
        "traceId": "01" * 16,
        "id": "03" * 8,
        "parentId": "02" * 8,
        "name": "x",
        "timestamp": 0,
        "duration": 1,
        "localEndpoint": {"serviceName": "relay"},
        "tags": {"link.0": "09" * 16, "service.instance.id": "relay-1", "error": "TimeoutError"},
    },
]


def test_spans_in_zipkin_s_form() -> None:
    assert list(spans_of(request().SerializeToString())) == EXPECTED


async def test_what_comes_is_handed_on() -> None:
    posted: list[Any] = []

    async def take(asked: web.Request) -> web.Response:
        posted.append(await asked.json())
        return web.Response(status=202)

    zipkin = web.Application()
    zipkin.add_routes([web.post("/api/v2/spans", take)])
    server = TestServer(zipkin)
    await server.start_server()
    async with TestClient(TestServer(application(str(server.make_url("")).rstrip("/")))) as client:
        body = request().SerializeToString()
        assert (await client.post("/v1/traces", data=body)).status == 200
        assert (await client.post("/v1/traces", data=b"\xff\xff")).status == 400
        assert (await client.post("/v1/logs", data=b"x")).status == 200
        assert (await client.get("/")).status == 200
        await server.close()
        assert (await client.post("/v1/traces", data=body)).status == 503
    assert posted == [EXPECTED]


async def test_it_ends_with_what_it_started(unused_tcp_port: int) -> None:
    code = "import sys; sys.stdin.close(); raise SystemExit(7)"
    ended = run(unused_tcp_port, "http://127.0.0.1:9", [sys.executable, "-c", code])
    assert await asyncio.wait_for(ended, 30) == 7
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{unused_tcp_port}/"):
            pass
