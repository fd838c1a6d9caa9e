"""Record headers by the CloudEvents Kafka binding (binary mode) and W3C trace context."""

import time
from collections.abc import Iterable

import uuid_utils

from atlas_contracts.values.timestamps import rfc3339

CONTENT_TYPE = b"application/avro"


def new_id() -> str:
    """A UUIDv7: unique, and sorted by the time it was made."""
    return str(uuid_utils.uuid7())


def cloud_event_headers(  # noqa: PLR0913 - the attributes of a CloudEvent, each by name
    *,
    event_type: str,
    source: str,
    subject: str,
    event_id: str | None = None,
    time_ms: int | None = None,
    sequence: int | None = None,
    trace: Iterable[tuple[str, bytes]] = (),
) -> list[tuple[str, bytes]]:
    """The headers of one event. A missing id is a new UUIDv7, a missing time is now; absent options give no header.

    `trace` are the headers of the trace context; they come last (see atlas_runtime.observing.traces.headers).
    """
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", (event_id or new_id()).encode()),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("ce_time", rfc3339(time.time_ns() // 1_000_000 if time_ms is None else time_ms).encode()),
        ("ce_subject", subject.encode()),
        ("content-type", CONTENT_TYPE),
    ]
    if sequence is not None:
        headers.append(("ce_sequence", str(sequence).encode()))
    headers.extend(trace)
    return headers
