"""Spans of reads: of a statement, of a look into the cache, of documents. None where the request's is not recorded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode

CACHE_OUTCOME = "atlas.cache.outcome"


@contextmanager
def reading(system: str, operation: str, target: str) -> Iterator[Span]:
    """A span around one call of a database, named `<operation> <target>`, as a child of the current one.

    It never says which key is read. An error that leaves the block is its status.
    """
    if not trace.get_current_span().is_recording():
        yield INVALID_SPAN
        return
    name = f"{operation} {target}"
    attributes: Mapping[str, str] = {
        "db.system.name": system,
        "db.operation.name": operation,
        "db.collection.name": target,
        "db.query.summary": name,
    }
    with trace.get_tracer("atlas").start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:
        yield span


def cache_said(outcome: str) -> None:
    """Say on the current span how a look into the cache ended: hit, miss, error or skipped (its breaker is open)."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute(CACHE_OUTCOME, outcome)
        if outcome == "error":
            span.set_status(Status(StatusCode.ERROR, "the cache did not answer"))
