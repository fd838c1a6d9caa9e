"""A receiver of OTLP over HTTP that hands spans on to Zipkin.

    python -m atlas_local.servers.otlp_to_zipkin PORT URL JAVA…

It starts the command that it is given, and ends when that ends. A link, for which Zipkin has no word, becomes a tag
with the trace that it leads to; lines of logs are taken and dropped.
"""

import asyncio
import ctypes
import gzip
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
_ERROR = 2
_LINKS_MAX = 20  # as tags; a batch has more
_BODY_MAX_BYTES = 16 * 1024 * 1024
_PR_SET_PDEATHSIG = 1


def spans_of(body: bytes) -> Iterator[dict[str, Any]]:
    """The spans of an OTLP request in Zipkin's form (v2). Raises ValueError for what is none."""
    try:
        sent = ExportTraceServiceRequest.FromString(body)
    except Exception as error:  # noqa: BLE001 - protobuf's own, of no base that says so
        raise ValueError(str(error)) from None
    for resource in sent.resource_spans:
        about = {pair.key: _text(pair.value) for pair in resource.resource.attributes}
        service = about.get("service.name", "unknown")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _span(span, service, about.get("service.instance.id", ""))


def _span(span: Any, service: str, instance: str) -> dict[str, Any]:
    tags = {pair.key: _text(pair.value) for pair in span.attributes}
    tags |= {f"link.{number}": link.trace_id.hex() for number, link in enumerate(span.links[:_LINKS_MAX])}
    if instance:
        tags["service.instance.id"] = instance
    if span.status.code == _ERROR:
        tags["error"] = span.status.message or tags.get("error.type", "error")
    found = {
        "traceId": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "name": span.name,
        "timestamp": span.start_time_unix_nano // 1000,
        "duration": max(1, (span.end_time_unix_nano - span.start_time_unix_nano) // 1000),
        "localEndpoint": {"serviceName": service},
        "tags": tags,
    }
    if span.parent_span_id:
        found["parentId"] = span.parent_span_id.hex()
    return found | ({"kind": _KINDS[span.kind]} if span.kind in _KINDS else {})


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))


def application(zipkin: str) -> web.Application:
    """Takes spans at /v1/traces and posts them to Zipkin, whose refusal is answered as 503."""
    app = web.Application(client_max_size=_BODY_MAX_BYTES)

    async def client(app: web.Application) -> Any:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as app[_SESSION]:
            yield

    async def take(request: web.Request) -> web.Response:
        try:
            spans = list(spans_of(await _body(request)))
        except (ValueError, OSError, EOFError) as error:
            raise web.HTTPBadRequest(text=f"no spans: {type(error).__name__}") from None
        try:
            async with request.app[_SESSION].post(f"{zipkin}/api/v2/spans", json=spans) as answer:
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise web.HTTPServiceUnavailable(text=f"zipkin: {type(error).__name__}") from None
        return _taken()

    async def ignore(request: web.Request) -> web.Response:
        await request.read()
        return _taken()

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="OTLP over HTTP: POST /v1/traces")

    app.cleanup_ctx.append(client)
    app.add_routes([web.post("/v1/traces", take), web.post("/v1/logs", ignore), web.get("/", alive)])
    return app


_SESSION = web.AppKey("session", aiohttp.ClientSession)


async def _body(request: web.Request) -> bytes:
    body = await request.read()
    # aiohttp inflates what it knows; where it was told not to, the header is still there.
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _taken() -> web.Response:
    return web.Response(content_type="application/x-protobuf")  # an empty message: all of it was taken


async def run(port: int, zipkin: str, command: Sequence[str]) -> int:
    """Receive until the command ends, or until SIGTERM, which ends it; gives its exit code."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

    process = await asyncio.create_subprocess_exec(*command, preexec_fn=die_with_parent)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.terminate)
    runner = web.AppRunner(application(zipkin), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return await process.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(asyncio.run(run(int(sys.argv[1]), sys.argv[2], sys.argv[3:])))
