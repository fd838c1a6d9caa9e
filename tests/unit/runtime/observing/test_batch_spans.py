"""One batch, many traces: each goes on, and each is reachable from the batch."""

import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import structlog
from atlas_kafka_format.headers import pack_headers
from atlas_runtime.observing import batch_spans, logs, traces
from atlas_runtime.observing.batch_spans import batch_span, of_block, of_packed, of_record, sending
from atlas_runtime.settings import ServiceSettings
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

Recorded = Callable[[], Sequence[ReadableSpan]]


def of(number: int, flags: str = "01") -> str:
    return f"00-{number:032x}-{number:016x}-{flags}"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for module in (traces, batch_spans):
        monkeypatch.setattr(module, "tracer", lambda: provider.get_tracer("test"))
    monkeypatch.setattr(traces._State, "exporting", True)
    yield exporter.get_finished_spans
    provider.shutdown()


def context(span: ReadableSpan) -> Any:
    found = span.get_span_context()
    assert found is not None
    return found


def test_each_trace_goes_on_and_is_reachable_from_the_batch(recorded: Recorded) -> None:
    members = [(of(n), {"topic": "t", "offset": n}) for n in (1, 2, 3)]
    with batch_span("process p", "process", lambda: members, {"group": "g"}):
        inside = traces.traceparent()
    spans = {context(span).trace_id: span for span in recorded()}
    assert set(spans) == {1, 2, 3}
    assert [spans[n].parent.span_id for n in (1, 2, 3) if spans[n].parent] == [1, 2, 3]
    batch = spans[1]
    assert inside == f"00-{1:032x}-{context(batch).span_id:016x}-01"
    assert [link.context.trace_id for link in batch.links] == [2, 3]
    for number in (2, 3):
        assert [link.context for link in spans[number].links] == [context(batch)]
    for number, span in spans.items():
        assert span.kind is SpanKind.CONSUMER
        assert span.attributes is not None
        assert span.attributes["messaging.kafka.message.offset"] == number
        assert span.attributes["messaging.kafka.consumer.group"] == "g"
        assert span.start_time is not None
        assert batch.start_time is not None
        assert abs(span.start_time - batch.start_time) < 1_000_000_000


def test_what_nobody_records_makes_no_span(recorded: Recorded) -> None:
    members = [(of(1, "00"), {}), ("garbage", {}), ("", {})]
    with batch_span("send outbox", "send", lambda: members):
        assert (traces.traceparent() or "").endswith("-00")
        with traces.span("inside"):
            pass
    assert recorded() == ()


def test_however_many_records_are_recorded_spans_are_bounded(recorded: Recorded) -> None:
    asked = []

    def members() -> Iterator[tuple[str, dict[str, Any]]]:
        for number in range(1, 100_001):
            asked.append(number)
            yield of(number), {}

    with batch_span("send outbox", "send", members):
        pass
    spans = recorded()
    assert {context(span).trace_id for span in spans} == set(range(1, 130))
    assert len(asked) == 129, "the others are not even looked at"
    batch = next(span for span in spans if context(span).trace_id == 1)
    assert len(batch.links) == 128
    assert all(span.links[0].context == context(batch) for span in spans if span is not batch)


def test_an_error_is_on_every_span(recorded: Recorded) -> None:
    with pytest.raises(KeyError), batch_span("x", "send", lambda: [(of(1), {}), (of(2), {})]):
        raise KeyError("k")
    assert [span.status.status_code for span in recorded()] == [StatusCode.ERROR, StatusCode.ERROR]


def test_without_an_exporter_members_are_not_even_asked_for() -> None:
    def members() -> list[tuple[str, dict[str, Any]]]:
        raise AssertionError("asked")

    with batch_span("x", "send", members):
        assert traces.traceparent() is not None


def test_what_a_service_sends_of_itself_is_a_trace_of_its_own(recorded: Recorded) -> None:
    with sending("health.changes"):
        header = dict(traces.headers())["traceparent"]
    (span,) = recorded()
    assert span.parent is None
    assert (span.name, span.kind) == ("send health.changes", SpanKind.PRODUCER)
    assert header.decode() == f"00-{context(span).trace_id:032x}-{context(span).span_id:016x}-01"


def test_of_a_record_only_the_last_headers_are_looked_at() -> None:
    mine = ("traceparent", of(1).encode())
    assert of_record([("a", b"1"), mine]) == of(1)
    assert of_record([mine, ("tracestate", b"a=b"), ("baggage", b"c=d"), ("x", None)]) == of(1)
    assert of_record([mine, *[("x", b"")] * 4]) is None
    assert of_record([]) is None
    assert of_record([("traceparent", None)]) is None
    assert of_record([("traceparent", b"\xff")]) == "\ufffd"


def test_of_packed_headers_the_very_last_and_only_if_it_is_recorded() -> None:
    def packed(*headers: tuple[str, bytes]) -> bytes:
        return pack_headers(headers)

    mine = ("traceparent", of(7).encode())
    assert of_packed(packed(("a", b"1"), mine)) == of(7)
    assert of_packed(packed(("traceparent", of(7, "00").encode()))) is None
    assert of_packed(packed(mine, ("a", b"1"))) is None
    assert of_packed(packed()) is None
    assert of_packed(b"") is None


@given(st.lists(st.tuples(st.binary(max_size=80), st.sampled_from(["01", "00", None])), max_size=20))
def test_in_a_block_every_recorded_one_is_found_and_no_other(records: list[tuple[bytes, str | None]]) -> None:
    block, expected = b"", []
    for number, (body, flags) in enumerate(records, 1):
        value = of(number, flags or "00").encode()
        headers = b"\2\x16traceparent\x6e" + value + b"\0" if flags else b"\0"
        block += headers + body.replace(b"-01", b"") + b"-01"
        expected += [of(number)] if flags == "01" else []
    found = of_block(block)
    assert found == expected


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    logs.configure(ServiceSettings(service="unit", http_port=0, log_format="json", log_level="DEBUG"), written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logs.shutdown()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_batch_is_a_line_that_names_its_traces(lines: Callable[[], list[dict[str, Any]]]) -> None:
    members = [(of(1, "00"), {"topic": "a"}), (of(2), {"topic": "b"}), (of(1), {"topic": "a"}), ("broken", {})]
    with batch_span("send outbox", "send", lambda: members, {"records": 4}):
        pass
    with pytest.raises(KeyError), batch_span("process p", "process", lambda: [], {"topic": "t"}):
        raise KeyError
    sent, failed = lines()
    assert (sent["level"], sent["event"], sent["records"], sent["topics"]) == ("debug", "send outbox", 4, ["a", "b"])
    assert sent["traces"] == [f"{1:032x}", f"{2:032x}"]
    assert (failed["event"], failed["topic"], failed["failed"]) == ("process p", "t", "KeyError")
    assert "traces" not in failed


def test_a_line_of_a_large_batch_is_bounded(lines: Callable[[], list[dict[str, Any]]]) -> None:
    def endless() -> Iterator[tuple[str, dict[str, Any]]]:
        number = 0
        while True:
            number += 1
            yield of(number, "00"), {"topic": f"t{number}"}

    with batch_span("send outbox", "send", endless):
        pass
    (line,) = lines()
    assert (len(line["traces"]), len(line["topics"])) == (129, 10)


def test_headers_of_a_record_that_nobody_records() -> None:
    packed = pack_headers([("traceparent", of(1, "00").encode())])
    assert of_packed(packed) is None
    assert of_packed(packed, every=True) == of(1, "00")
    assert of_packed(b"", every=True) is None
