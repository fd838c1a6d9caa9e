"""A receiver of OTLP over HTTP, on a free port: keeps the spans and the lines of logs it is sent."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """A span as it came; ids in hex, as they are in a traceparent. `kind` and `status` by their number in OTLP."""

    service: str
    name: str
    kind: int
    trace: str
    span: str
    parent: str
    state: str
    status: int
    attributes: dict[str, Any]
    links: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A line of a log as it came; `resource` is who sent it, `at_ns` when it was said."""

    resource: dict[str, Any]
    logger: str
    at_ns: int
    severity: tuple[int, str]
    body: str
    trace: str
    span: str
    flags: int
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What has come so far."""

    endpoint: str
    spans: list[Seen] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def of(self, trace: str) -> list[Seen]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == trace]


def _value(value: Any) -> Any:
    found = getattr(value, value.WhichOneof("value"))
    return [_value(each) for each in found.values] if hasattr(found, "values") else found


def _lines(body: bytes) -> Iterator[Line]:
    for sent in ExportLogsServiceRequest.FromString(body).resource_logs:
        about = {pair.key: _value(pair.value) for pair in sent.resource.attributes}
        for scope in sent.scope_logs:
            for line in scope.log_records:
                yield Line(
                    resource=about,
                    logger=scope.scope.name,
                    at_ns=line.time_unix_nano,
                    severity=(line.severity_number, line.severity_text),
                    body=_value(line.body),
                    trace=line.trace_id.hex(),
                    span=line.span_id.hex(),
                    flags=line.flags,
                    attributes={pair.key: _value(pair.value) for pair in line.attributes},
                )


def _seen(body: bytes) -> Iterator[Seen]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {pair.key: _value(pair.value) for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    service=about["service.name"],
                    name=span.name,
                    kind=span.kind,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    state=span.trace_state,
                    status=span.status.code,
                    attributes={pair.key: _value(pair.value) for pair in span.attributes},
                    links=tuple(link.trace_id.hex() for link in span.links),
                )


@contextmanager
def collector() -> Iterator[Collector]:
    """Receives until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/logs":
                found.lines.extend(_lines(body))
            else:
                assert self.path == "/v1/traces", self.path
                found.spans.extend(_seen(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
            """Nothing: pytest would show it beside every failure."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
