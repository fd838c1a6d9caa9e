"""Between a record as it is read and the same record as it waits in the database."""

from aiokafka import TopicPartition
from atlas_contracts.events import Meta
from atlas_projection.waiting import place_of
from atlas_readmodel.postgres.topic_ids import present
from atlas_readmodel.waiting.parking import Parked, State

from atlas_projector.source import Record, Waited

TEXT_MAX_CHARS = 2000


def park(meta: Meta, value: bytes | None, state: State, error: str | None = None) -> Parked:
    """The record to be kept, and why."""
    headers = [
        (name if name.isprintable() and name.isascii() else printable(name), held) for name, held in meta.headers
    ]
    return Parked(*place_of(meta), meta.key, value, headers, meta.timestamp_ms, state, error)


def printable(text: str) -> str:
    """Text that every server takes and no terminal obeys: other characters as escapes, bounded."""
    shown = text[:TEXT_MAX_CHARS].replace("\n", " ").encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def record_of(parked: Parked) -> Record:
    """The record as it was read."""
    return Waited(parked.offset, parked.timestamp_ms, parked.key, parked.value, parked.headers)


def meta_of(parked: Parked) -> Meta:
    """What was around its event."""
    return Meta(*parked.place, parked.timestamp_ms, parked.key, parked.headers)


def partition_of(record: Meta | Parked) -> TopicPartition:
    """The partition of that name now: a record of a topic that was made anew waits under a name of its own."""
    return TopicPartition(present(record.topic), record.partition)
