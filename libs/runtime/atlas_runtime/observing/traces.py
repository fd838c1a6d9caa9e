"""Traces: W3C trace context always, spans only when an OTLP endpoint is set.

Without an endpoint a span is an id and nothing else (no SDK is loaded, nothing is recorded), so that the trace
context still travels from the HTTP request over outbox row and Kafka header to the projector, and into the logs.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Tracer
from opentelemetry.util.types import AttributeValue

from atlas_runtime.settings import ServiceSettings

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_MAX_LINKS = 128  # the SDK's own limit; more would be parsed only to be dropped


class _State:
    """Whether spans are exported; set once by `configure`."""

    exporting = False


def configure(settings: ServiceSettings) -> None:
    """Export spans to `settings.otlp_endpoint` (OTLP over HTTP) when it is set; else load nothing."""
    if settings.otlp_endpoint is None or _State.exporting:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(
        {
            "service.name": settings.service,
            "service.instance.id": settings.instance,
            "deployment.environment.name": settings.environment,
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=3)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    _State.exporting = True


def shutdown() -> None:
    """Send the spans still held; blocks for the exporter's time-out (3 s) at most. Nothing without an endpoint."""
    provider = trace.get_tracer_provider()
    if _State.exporting and hasattr(provider, "shutdown"):
        provider.shutdown()


def tracer() -> Tracer:
    """OpenTelemetry's tracer, for what `span` does not offer. It records nothing without an endpoint."""
    return trace.get_tracer("atlas")


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
    links: Iterable[str] = (),
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Span]:
    """A span around the block: child of `parent` (a traceparent), else of the current span, else a new trace.

    `links` are the traceparents of the records of a batch; invalid ones are skipped. An exception that leaves the
    block is recorded on the span.
    """
    remote = parse(parent)
    if _State.exporting:
        context = trace.set_span_in_context(NonRecordingSpan(remote)) if remote else None
        with tracer().start_as_current_span(
            name, context=context, kind=kind, links=_links(links), attributes=attributes
        ) as recording:
            yield recording
        return
    origin = remote or trace.get_current_span().get_span_context()
    current = NonRecordingSpan(_child(origin))
    reset = otel_context.attach(trace.set_span_in_context(current))
    try:
        yield current
    finally:
        otel_context.detach(reset)


@contextmanager
def continue_trace(traceparent: str | None) -> Iterator[None]:
    """Within the block the current span is the remote one that `traceparent` names; nothing when it names none."""
    remote = parse(traceparent)
    if remote is None:
        yield
        return
    reset = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    try:
        yield
    finally:
        otel_context.detach(reset)


def traceparent() -> str | None:
    """The W3C traceparent of the current span, for a Kafka header or an outbox row; None outside of any span."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parse(value: str | None) -> SpanContext | None:
    """The remote span that a traceparent names, or None when it is absent or breaks the W3C format."""
    match = _TRACEPARENT.fullmatch(value) if value is not None else None
    if match is None or match["version"] == "ff" or (match["version"] == "00" and match["more"]):
        return None
    trace_id, span_id, flags = (int(match[part], 16) for part in ("trace", "span", "flags"))
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return context if context.is_valid else None


def _child(origin: SpanContext) -> SpanContext:
    span_id = random.getrandbits(64) or 1
    if origin.is_valid:
        return SpanContext(origin.trace_id, span_id, is_remote=False, trace_flags=origin.trace_flags)
    return SpanContext(random.getrandbits(128) or 1, span_id, is_remote=False)


def _links(traceparents: Iterable[str]) -> list[Link]:
    links: list[Link] = []
    for value in traceparents:
        if len(links) == _MAX_LINKS:
            break
        if (linked := parse(value)) is not None:
            links.append(Link(linked))
    return links
