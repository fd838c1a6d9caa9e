"""Traces: W3C trace context always, spans only when an OTLP endpoint is set.

Without an endpoint a span is an id and nothing else (no SDK is loaded, nothing is recorded), so that the trace
context still travels from the HTTP request over outbox row and Kafka header to the projector, and into the logs.
Who begins a trace decides whether it is recorded (`ATLAS_TRACE_SAMPLE_RATIO`); everybody after that does as it says.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Tracer
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import AttributeValue

from atlas_runtime.observing import semantics
from atlas_runtime.settings import ServiceSettings

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
# Bytes of what a caller may have carried along; they are on every record of the request.
_CARRIED_MAX = 512
_STATE = re.compile(r"[a-z0-9][a-z0-9_*/@-]*=[\x20-\x2b\x2d-\x3c\x3e-\x7e]*[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_ENTRY = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_BAGGAGE = W3CBaggagePropagator()


class _State:
    """Whether spans are exported; set once by `configure`."""

    exporting = False


def configure(settings: ServiceSettings) -> None:
    """Export spans to `settings.otlp_endpoint` (OTLP over HTTP) when it is set; else load nothing.

    Of the traces that begin here `settings.trace_sample_ratio` are recorded; of others, those that whoever began them
    records.
    """
    if settings.otlp_endpoint is None or _State.exporting:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    resource = Resource.create(semantics.resource(settings))
    sampler = ParentBasedTraceIdRatio(settings.trace_sample_ratio)
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=3)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)
    _State.exporting = True


def shutdown() -> None:
    """Send the spans still held; blocks for the exporter's time-out (3 s) at most. Nothing without an endpoint."""
    provider = trace.get_tracer_provider()
    if _State.exporting and hasattr(provider, "shutdown"):
        provider.shutdown()


def exporting() -> bool:
    """Whether spans go anywhere."""
    return _State.exporting


def tracer() -> Tracer:
    """OpenTelemetry's tracer, for what `span` does not offer. It records nothing without an endpoint."""
    return trace.get_tracer("atlas")


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: SpanContext | None = None,
    links: Sequence[Link] = (),
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Span]:
    """A span around the block: child of `parent` (see `parse`), else of the current span, else a new trace.

    An exception that leaves the block is recorded on the span, whose status is an error then.
    """
    if _State.exporting:
        context = trace.set_span_in_context(NonRecordingSpan(parent)) if parent else None
        with tracer().start_as_current_span(
            name, context=context, kind=kind, links=links, attributes=attributes
        ) as recording:
            yield recording
        return
    origin = parent or trace.get_current_span().get_span_context()
    current = NonRecordingSpan(_child(origin))
    reset = otel_context.attach(trace.set_span_in_context(current))
    try:
        yield current
    finally:
        otel_context.detach(reset)


@contextmanager
def span_inside(name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue]) -> Iterator[None]:
    """A span around a part of what the current span is about; none where that is not recorded, which costs nothing."""
    if not trace.get_current_span().is_recording():
        yield
        return
    with span(name, kind=kind, attributes=attributes):
        yield


@contextmanager
def unrecorded() -> Iterator[None]:
    """Within the block no span is recorded: of probes and scrapes nobody wants to read."""
    reset = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(_child(SpanContext(0, 0, is_remote=False)))))
    try:
        yield
    finally:
        otel_context.detach(reset)


@contextmanager
def carrying(text: str | None) -> Iterator[None]:
    """Within the block the current baggage is `text` (W3C), that of a caller, as far as it may be carried along."""
    kept = _members(text, _ENTRY)
    if not kept:
        yield
        return
    reset = otel_context.attach(_BAGGAGE.extract({"baggage": [kept]}))
    try:
        yield
    finally:
        otel_context.detach(reset)


def traceparent() -> str | None:
    """The W3C traceparent of the current span, for a Kafka header or an outbox row; None outside of any span."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


def exemplar() -> dict[str, str] | None:
    """What leads from a measurement to its trace: an exemplar's labels; None where the current span is not recorded."""
    current = trace.get_current_span()
    return {"trace_id": f"{current.get_span_context().trace_id:032x}"} if current.is_recording() else None


def headers() -> list[tuple[str, bytes]]:
    """What a record of the current span carries: `tracestate` and `baggage` where there are any, `traceparent` last.

    Last, so that who looks for recorded ones among hundreds of thousands need not look at every header.
    """
    parent = traceparent()
    if parent is None:
        return []
    carried: dict[str, str] = {}
    if baggage.get_all():
        _BAGGAGE.inject(carried)
    if state := trace.get_current_span().get_span_context().trace_state.to_header():
        carried["tracestate"] = state
    return [(name, text.encode()) for name, text in sorted(carried.items())] + [("traceparent", parent.encode())]


def parse(value: str | None, state: str | None = None) -> SpanContext | None:
    """The remote span that a traceparent names, or None when it is absent or breaks the W3C format.

    `state` is its tracestate, which goes along unless it is longer than may be, or broken.
    """
    match = _TRACEPARENT.fullmatch(value) if value is not None else None
    if match is None or match["version"] == "ff" or (match["version"] == "00" and match["more"]):
        return None
    trace_id, span_id, flags = (int(match[part], 16) for part in ("trace", "span", "flags"))
    kept = _members(state, _STATE)
    carried = TraceState.from_header([kept]) if kept else None
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags), trace_state=carried)
    return context if context.is_valid else None


def _members(text: str | None, form: re.Pattern[str]) -> str:
    """The list as it may be sent on; nothing of one that is too long, or with a member that is not of this form."""
    if not text or len(text) > _CARRIED_MAX:
        return ""
    members = [member.strip(" \t") for member in text.split(",")]
    return ",".join(members) if all(map(form.fullmatch, members)) else ""


def _child(origin: SpanContext) -> SpanContext:
    span_id = random.getrandbits(64) or 1
    if origin.is_valid:
        return SpanContext(
            origin.trace_id,
            span_id,
            is_remote=False,
            trace_flags=origin.trace_flags,
            trace_state=origin.trace_state,
        )
    return SpanContext(random.getrandbits(128) or 1, span_id, is_remote=False)
