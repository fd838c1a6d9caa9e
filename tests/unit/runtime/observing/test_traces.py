"""Traces: W3C context travels without an exporter; spans are recorded with one."""

import re
import subprocess
import sys
import textwrap

import pytest
from atlas_runtime.observing import traces
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


def test_no_span_no_traceparent() -> None:
    assert traces.traceparent() is None


def test_a_new_trace_has_a_valid_traceparent() -> None:
    with traces.span("one"):
        first = traces.traceparent()
    with traces.span("two"):
        second = traces.traceparent()
    assert first is not None
    assert second is not None
    assert FORM.fullmatch(first)
    assert first.split("-")[1] != second.split("-")[1]
    assert traces.traceparent() is None


def test_an_inner_span_keeps_the_trace() -> None:
    with traces.span("outer"):
        outer = traces.traceparent()
        with traces.span("inner"):
            inner = traces.traceparent()
        assert traces.traceparent() == outer
    assert outer is not None
    assert inner is not None
    assert inner.split("-")[1] == outer.split("-")[1]
    assert inner.split("-")[2] != outer.split("-")[2]


def test_a_remote_parent_is_continued_with_its_flags() -> None:
    with traces.span("handle", parent=traces.parse(TRACEPARENT)):
        mine = traces.traceparent()
    assert mine is not None
    version, trace_id, span_id, flags = mine.split("-")
    assert (version, trace_id, flags) == ("00", TRACEPARENT.split("-")[1], "01")
    assert span_id != TRACEPARENT.split("-")[2]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "garbage",
        TRACEPARENT[:-1],
        TRACEPARENT + "-x",
        TRACEPARENT.upper(),
        "ff" + TRACEPARENT[2:],
        TRACEPARENT.replace("-", "_"),
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        TRACEPARENT.replace("a", "g"),
        TRACEPARENT[:5] + "_" + TRACEPARENT[6:],
        TRACEPARENT[:3] + " " + TRACEPARENT[4:],
    ],
)
def test_a_broken_traceparent_starts_a_new_trace(value: str | None) -> None:
    assert traces.parse(value) is None
    with traces.span("handle", parent=traces.parse(value)):
        assert FORM.fullmatch(traces.traceparent() or "")


def test_a_later_version_may_be_longer() -> None:
    assert traces.parse("01" + TRACEPARENT[2:] + "-more") is not None


def test_without_an_endpoint_the_sdk_is_not_loaded() -> None:
    program = """
        import sys
        from atlas_runtime.observing import traces
        from atlas_runtime.settings import ServiceSettings
        traces.configure(ServiceSettings(service="x", http_port=0, otlp_endpoint=None))
        with traces.span("x"):
            traces.traceparent()
        traces.shutdown()
        assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=30)


def test_with_an_endpoint_spans_are_sent_with_parent_and_links() -> None:
    """In a process of its own: OpenTelemetry's provider can be set only once."""
    program = f"""
        import http.server, threading
        from atlas_runtime.observing import traces
        from atlas_runtime.settings import ServiceSettings
        from opentelemetry.trace import Link
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
        got = []
        class Collector(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                import gzip
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                got.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200); self.end_headers()
            def log_message(self, *args): pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        traces.configure(ServiceSettings(service="svc", http_port=0,
                                         otlp_endpoint=f"http://127.0.0.1:{{server.server_port}}/"))
        remote = traces.parse("{TRACEPARENT}")
        with traces.span("batch", parent=remote, links=[Link(remote)], attributes={{"rows": 2}}):
            header = traces.traceparent()
        with traces.unrecorded(), traces.span("probe"):
            assert traces.traceparent().endswith("-00")
        traces.shutdown()
        (path, request), = got
        (resource,) = request.resource_spans
        attributes = {{a.key: a.value.string_value for a in resource.resource.attributes}}
        (span,) = resource.scope_spans[0].spans
        assert path == "/v1/traces", path
        assert attributes["service.name"] == "svc"
        assert span.name == "batch" and span.parent_span_id.hex() == "b7ad6b7169203331"
        assert header == f"00-{{span.trace_id.hex()}}-{{span.span_id.hex()}}-01", header
        assert [link.span_id.hex() for link in span.links] == ["b7ad6b7169203331"]
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(program)], check=True, timeout=60)


def test_what_a_caller_carries_along_is_on_every_record() -> None:
    state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
    with traces.carrying("tenant=acme,n=1"), traces.span("handle", parent=traces.parse(TRACEPARENT, state)):
        outer = traces.traceparent()
        with traces.span("inner"):
            found = traces.headers()
    assert found[:2] == [("baggage", b"tenant=acme,n=1"), ("tracestate", state.encode())]
    name, value = found[2]
    assert name == "traceparent"
    assert outer is not None
    assert value.decode().split("-")[1] == outer.split("-")[1] == TRACEPARENT.split("-")[1]
    assert traces.headers() == []


@pytest.mark.parametrize("hostile", ["", "x" * 513, "a=\0", "=", ",", "é=ü", "a" * 300 + "=b", "\ud800=1"])
def test_what_can_not_be_carried_is_left_behind(hostile: str) -> None:
    with traces.carrying(hostile), traces.span("handle", parent=traces.parse(TRACEPARENT, hostile)):
        found = traces.headers()
    assert sum(len(name) + len(value) for name, value in found) < 700
    assert found[-1][0] == "traceparent"
    for _, value in found:
        value.decode("ascii")


@given(st.text(max_size=600), st.text(max_size=600))
def test_whatever_a_caller_sends_is_bounded_and_leaves_the_trace_as_it_is(baggage: str, state: str) -> None:
    with traces.carrying(baggage), traces.span("handle", parent=traces.parse(TRACEPARENT, state)):
        found = dict(traces.headers())
    assert found["traceparent"].decode().startswith(TRACEPARENT[:36])
    assert all(len(value) <= 4096 for value in found.values())


def test_flags_that_nobody_here_knows_are_not_sent_on() -> None:
    with traces.span("handle", parent=traces.parse(TRACEPARENT[:-2] + "ff")):
        assert (traces.traceparent() or "").endswith("-01")
    with traces.span("handle", parent=traces.parse(TRACEPARENT[:-2] + "fe")):
        assert (traces.traceparent() or "").endswith("-00")


def test_a_part_of_what_is_not_recorded_is_no_span() -> None:
    with traces.span("handle"):
        outer = traces.traceparent()
        with traces.span_inside("query", SpanKind.CLIENT, {}):
            assert traces.traceparent() == outer
