"""Spans of batches: one for the work, and one more in the trace of each record that is recorded.

A batch joins records of many traces. Its own span is in the trace of the first of them, with links to the others. Each
of the others gets a span in its own trace, as long as the batch took, with a link to the batch's. So each trace goes on
from the request to whatever was done with its record, and every record is reachable from the batch.

That is so for the first 129 records that are recorded: one span, and as many links as the SDK takes. Whoever writes a
record says whether it is recorded, so spans without end could hold the loop of whoever reads a batch of thousands.

At level DEBUG each batch is a line of the log as well, which names as many of its traces, recorded or not.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal

import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from atlas_runtime.observing.logs import debugging
from atlas_runtime.observing.semantics import messaging
from atlas_runtime.observing.traces import exporting, parse, span, tracer, unrecorded

Operation = Literal["send", "process"]
# Of records, by the names that `messaging` knows: topic, partition, group, offset, records.
Facts = Mapping[str, AttributeValue]
# The traceparent of each record, and what is known of it beside what is known of all.
Members = Iterable[tuple[str, Facts]]

_KINDS: Mapping[Operation, SpanKind] = {"send": SpanKind.PRODUCER, "process": SpanKind.CONSUMER}
_LINKS_MAX = 128  # the SDK's own limit
_RECORDED = frozenset("13579bdf")  # how the flags of a recorded one end
_LAST_HEADERS = 4  # where a traceparent is looked for: those who write one do it when all else is written
_SEPARATOR = b"\x16traceparent\x6e"  # in Kafka's layout: the name and the length of the value, with theirs
_TRACEPARENT_BYTES = 55
_END = b"-01\0"  # of a recorded one that is the last header, in a file of the archive
_TOPICS_MAX = 10  # that a line names

log = structlog.get_logger(__name__)


@contextmanager
def sending(topic: str) -> Iterator[None]:
    """Around the sending of a record that nothing led to but the service itself: a trace of its own."""
    with span(f"send {topic}", kind=SpanKind.PRODUCER, attributes=messaging("send", topic=topic, records=1)):
        yield


@contextmanager
def batch_span(
    name: str, operation: Operation, members: Callable[[], Members], facts: Facts | None = None
) -> Iterator[None]:
    """Around the work on a batch. `members` is asked only where spans are exported, and for a line of the log at level
    DEBUG. Those that nobody records have no span, and where all are such, nothing is recorded. An error that leaves
    the block is on all of its spans.
    """
    with _spans(name, operation, members, facts):
        if not debugging():
            yield
            return
        with _line(name, members, facts or {}):
            yield


@contextmanager
def _line(name: str, members: Callable[[], Members], facts: Facts) -> Iterator[None]:
    begun = time.perf_counter()
    failed: str | None = "cancelled"
    try:
        yield
        failed = None
    except Exception as error:
        failed = type(error).__name__
        raise
    finally:
        took_ms = round((time.perf_counter() - begun) * 1000, 1)
        log.debug(name, took_ms=took_ms, **facts, **_named(members()), **({"failed": failed} if failed else {}))


def _named(members: Members) -> dict[str, Any]:
    """The traces of a batch, and where nothing else says so its topics, as a line of the log names them."""
    traces: dict[str, None] = {}
    topics: dict[str, None] = {}
    for text, facts in members:
        if (context := parse(text)) is not None:
            traces[f"{context.trace_id:032x}"] = None
        if len(topics) < _TOPICS_MAX and "topic" in facts:
            topics[str(facts["topic"])] = None
        if len(traces) > _LINKS_MAX:
            break
    return {key: list(found) for key, found in (("topics", topics), ("traces", traces)) if found}


@contextmanager
def _spans(name: str, operation: Operation, members: Callable[[], Members], facts: Facts | None) -> Iterator[None]:
    recorded = _recorded(members()) if exporting() else []
    if not recorded:
        with unrecorded():
            yield
        return
    begun, kind, shared = time.time_ns(), _KINDS[operation], facts or {}
    (first, own), others = recorded[0], recorded[1:]
    links = [Link(context) for context, _ in others]
    failed: str | None = "cancelled"
    attributes = messaging(operation, **{**own, **shared})
    with span(name, kind=kind, parent=first, links=links, attributes=attributes) as batch:
        link = Link(batch.get_span_context())
        try:
            yield
            failed = None
        except Exception as error:
            failed = type(error).__name__
            raise
        finally:
            for context, each in others:
                one = tracer().start_span(
                    name,
                    context=trace.set_span_in_context(NonRecordingSpan(context)),
                    kind=kind,
                    attributes=messaging(operation, **{**shared, **each}),
                    links=[link],
                    start_time=begun,
                )
                if failed is not None:
                    one.set_status(Status(StatusCode.ERROR, failed))
                one.end()


def _recorded(members: Members) -> list[tuple[SpanContext, Facts]]:
    # The last character first, since nearly all are not recorded and to parse costs some microseconds.
    contexts = ((parse(text), facts) for text, facts in members if text[-1:] in _RECORDED)
    sampled = ((context, facts) for context, facts in contexts if context is not None and context.trace_flags.sampled)
    return list(islice(sampled, 1 + _LINKS_MAX))


def of_record(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The traceparent of a record, if it is among its last headers."""
    last = tuple(headers)[-_LAST_HEADERS:]
    found = next((value for name, value in reversed(last) if name == "traceparent" and value), None)
    return found.decode("ascii", "replace") if found is not None else None


def of_packed(headers: bytes, *, every: bool = False) -> str | None:
    """The same of headers in Kafka's layout, where it is the very last; None, too, where nobody records it, unless
    `every`.
    """
    if not (every or headers.endswith(b"1")):
        return None
    if headers[-_TRACEPARENT_BYTES - len(_SEPARATOR) : -_TRACEPARENT_BYTES] != _SEPARATOR:
        return None
    return headers[-_TRACEPARENT_BYTES:].decode("ascii", "replace")


def of_block(data: bytes) -> list[str]:
    """Those of the records in a block of the archive that are recorded, each the last header of its record.

    Looks for what a recorded one ends with, since nearly all bytes are of others: 256 KB take some 50 µs.
    """
    found, at = [], data.find(_END)
    while at >= 0:
        begin = at + len(_END) - 1 - _TRACEPARENT_BYTES
        if data[begin - len(_SEPARATOR) : begin] == _SEPARATOR:
            found.append(data[begin : begin + _TRACEPARENT_BYTES].decode("ascii", "replace"))
        at = data.find(_END, at + 1)
    return found
