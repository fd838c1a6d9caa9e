"""Log lines as OTLP, beside those on stdout: the same lines, after secrets and values have gone from them."""

from datetime import datetime
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from structlog.typing import EventDict

from atlas_runtime.observing import semantics
from atlas_runtime.settings import ServiceSettings

_SEVERITY = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
# Said in fields of its own, or by the resource.
_ELSEWHERE = frozenset({"event", "level", "timestamp", "logger", "trace_id", "span_id", "service", "instance"})
_NAMES = {"exception": "exception.stacktrace"}
_ATTRIBUTES_MAX = 64


class Exporter(Protocol):
    """Where lines go."""

    def emit(self, line: EventDict) -> None:
        """Take a line; never waits, never raises."""

    def shutdown(self) -> None:
        """Send what is held, for the exporter's time-out (3 s) at most."""


def open_exporter(settings: ServiceSettings) -> Exporter | None:
    """An exporter to `otlp_endpoint` where `otlp_logs` is set and there is an endpoint; else nothing is loaded."""
    if settings.otlp_endpoint is None or not settings.otlp_logs:
        return None
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    provider = LoggerProvider(Resource.create(semantics.resource(settings)), shutdown_on_exit=False)
    sender = OTLPLogExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/logs", timeout=3)
    # Its queue is bounded: what does not fit while the receiver is away is on stdout alone.
    provider.add_log_record_processor(BatchLogRecordProcessor(sender, schedule_delay_millis=1000))
    return _Otlp(provider)


class _Otlp:
    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def emit(self, line: EventDict) -> None:
        from opentelemetry._logs import LogRecord, SeverityNumber

        name = str(line.get("logger") or "atlas")
        if name.startswith("opentelemetry"):
            return  # what the exporter says of its own failures would be sent by it
        level = str(line.get("level", "info"))
        self._provider.get_logger(name).emit(
            LogRecord(
                timestamp=_nanoseconds(line),
                context=_context(line),
                severity_text=level.upper(),
                severity_number=SeverityNumber(_SEVERITY.get(level, 9)),
                body=str(line.get("event", "")),
                attributes=_attributes(line),
            )
        )

    def shutdown(self) -> None:
        self._provider.shutdown()


def _nanoseconds(line: EventDict) -> int:
    """When it happened, which of a line held back was a while ago."""
    return int(datetime.fromisoformat(str(line["timestamp"])).timestamp() * 1e6) * 1000


def _context(line: EventDict) -> Any:
    """The line's own trace: it may be another than the current one, which a line held back no longer has."""
    ids = line.get("trace_id"), line.get("span_id")
    if ids[0] is None:
        span = NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)
    else:
        current = trace.get_current_span().get_span_context()
        trace_id, span_id = int(str(ids[0]), 16), int(str(ids[1] or "0"), 16)
        flags = current.trace_flags if current.trace_id == trace_id else TraceFlags()
        span = NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags))
    return trace.set_span_in_context(span)


def _attributes(line: EventDict) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in line.items():
        if key in _ELSEWHERE or value is None or len(found) >= _ATTRIBUTES_MAX:
            continue
        simple = isinstance(value, str | bool | int | float)
        many = isinstance(value, list) and all(isinstance(item, str) for item in value)
        found[_NAMES.get(key, key)] = value if simple or many else str(value)
    return found
