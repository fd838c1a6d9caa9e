"""Lines of the log as a receiver of OTLP gets them: the whole shape."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest
import structlog
from atlas_runtime.observing import logs, otlp_logs, traces
from atlas_runtime.settings import ServiceSettings
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from tests.collector import Collector, collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def receiver() -> Iterator[Collector]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with collector() as found:
        yield found
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def configure(endpoint: str | None, written: io.StringIO) -> None:
    logs.configure(
        ServiceSettings(
            service="relay",
            instance="relay-1",
            environment="staging",
            http_port=0,
            log_format="json",
            otlp_endpoint=endpoint,
            otlp_logs=True,
        ),
        written,
    )


def test_a_receiver_gets_each_line_with_its_trace(receiver: Collector) -> None:
    written = io.StringIO()
    configure(receiver.endpoint, written)
    context = SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=True, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)), logs.correlated("req-1"):
        structlog.get_logger("atlas_relay.lanes").warning("refused", lane="a", groups=["1", "2"], error="KeyError: 'x'")
    try:
        raise OSError("no route")
    except OSError:
        structlog.get_logger("atlas_relay.app").exception("crashed", password="hunter2", rows=3)
    logging.getLogger("aiokafka.conn").error("lost %s", "b1")
    logging.getLogger("opentelemetry.exporter").error("its own failures go to stdout alone")
    logs.shutdown()

    first, second, third = receiver.lines
    assert (
        first.resource.items()
        >= {
            "service.name": "relay",
            "service.instance.id": "relay-1",
            "deployment.environment.name": "staging",
        }.items()
    )
    assert (first.logger, first.body, first.severity) == ("atlas_relay.lanes", "refused", (13, "WARNING"))
    assert (first.trace, first.span, first.flags) == (TRACE, SPAN, 1)
    known = {"lane": "a", "groups": ["1", "2"], "error": "KeyError: '…'", "correlation_id": "req-1"}
    assert first.attributes == known
    assert (second.body, second.severity) == ("crashed", (17, "ERROR"))
    assert (second.trace, second.span) == ("", "")
    assert second.attributes.pop("exception.stacktrace").endswith("OSError: no route")
    assert second.attributes == {"password": "***", "rows": 3}
    assert (third.logger, third.body, third.attributes) == ("aiokafka.conn", "lost b1", {})

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines[:3]] == ["refused", "crashed", "lost b1"], "on stdout all the same"
    said_at = datetime.fromisoformat(lines[0]["timestamp"]).timestamp()
    assert abs(first.at_ns / 1e9 - said_at) < 0.001


def test_without_the_setting_or_without_an_endpoint_nothing_is_loaded() -> None:
    both = ServiceSettings(service="relay", http_port=0, otlp_endpoint=None, otlp_logs=True)
    assert otlp_logs.open_exporter(both) is None
    assert otlp_logs.open_exporter(both.model_copy(update={"otlp_endpoint": "http://h", "otlp_logs": False})) is None


def test_a_receiver_that_is_away_holds_up_nothing() -> None:
    written = io.StringIO()
    configure("http://127.0.0.1:9", written)
    with traces.span("work"):
        for number in range(10_000):
            structlog.get_logger().debug("not at this level", number=number)
        structlog.get_logger().info("said")
    assert json.loads(written.getvalue())["event"] == "said"
    logs.shutdown()
    structlog.reset_defaults()
