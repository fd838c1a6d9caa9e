"""Records on their way to Kafka: what is sent, where it came to, and why one did not."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka.errors import BrokerResponseError

# The broker's own default for message.max.bytes: a record above it is refused here, where it can be named.
RECORD_MAX_BYTES = 1024 * 1024
RECORD_OVERHEAD_BYTES = 100


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be sent. `partition` None means: by key as the Java client does (murmur2), without a key 0.

    `timestamp_ms` None, the usual case, means the time at which it is sent: retention goes by it. Only what copies
    records with their times gives another.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the broker put a record; and when, by its own clock (epoch milliseconds), on topics that go by that."""

    topic: str
    partition: int
    offset: int
    appended_ms: int | None = field(default=None, compare=False)


class RecordTooLarge(Exception):
    """The record is above what the broker takes on this topic; nothing was sent of it.

    `limit` is None where only the broker knows it: the topic's own `max.message.bytes`.
    """

    def __init__(self, size: int, limit: int | None = None) -> None:
        bound = f"the limit is {limit}" if limit is not None else "its topic's own limit (max.message.bytes) is lower"
        super().__init__(f"the record is {size} bytes, {bound}")
        self.size = size
        self.limit = limit


class RecordRefused(Exception):
    """The record can never be on its topic as it is. `reason` is the broker's own where it gave one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """The broker's validation refused a record. aiokafka 0.14 does not know this code."""

    errno = 87
    message = "INVALID_RECORD"
    description = "This record has failed the validation on broker and hence be rejected."


def size_of(record: Outgoing) -> int:
    """The bytes of the record, a little more than it has on the wire."""
    size = len(record.key or b"") + len(record.value or b"") + RECORD_OVERHEAD_BYTES
    for name, value in record.headers:  # a plain loop: `sum` over a generator takes twice as long, once a record
        size += len(name) + len(value or b"") + 4
    return size
