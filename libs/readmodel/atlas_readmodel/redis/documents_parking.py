"""Records that wait, kept in Redis: whole, as JSON; see atlas_readmodel.waiting.parking for what they are."""

import base64
from collections.abc import Iterable, Mapping

import orjson

from atlas_readmodel.waiting.parking import Decision, Parked, Place, Ruling, State


def place_field(place: Place) -> str:
    """The field of a record's place: topic/partition@offset."""
    topic, partition, offset = place
    return f"{topic}/{partition}@{offset}"


def place_of(field: bytes) -> Place:
    """The place in a field."""
    place, _, offset = field.decode().rpartition("@")
    topic, _, partition = place.rpartition("/")
    return topic, int(partition), int(offset)


def ruling_field(ruling: Ruling) -> str:
    """A decision and its reason, as the hash of rulings holds them."""
    return f"{ruling.decision.value} {ruling.reason}"


def decision_of(ruling: bytes) -> tuple[Decision, str]:
    """A decision and why it was made."""
    decision, _, reason = ruling.decode().partition(" ")
    return Decision(decision), reason


def dump(record: Parked) -> bytes:
    """All of a record but its place, the time it was parked and what is wanted of it."""
    return orjson.dumps(
        {
            "key": _text(record.key),
            "value": _text(record.value),
            "headers": [[name, _text(value)] for name, value in record.headers],
            "timestamp_ms": record.timestamp_ms,
            "state": record.state.value,
            "error": record.error,
            "attempts": record.attempts,
        }
    )


def load(field: bytes, kept: bytes, request: bytes | None) -> Parked:
    """The record kept under a field."""
    since, _, document = kept.partition(b" ")
    held = orjson.loads(document)
    topic, partition, offset = place_of(field)
    return Parked(
        topic=topic,
        partition=partition,
        offset=offset,
        key=_bytes(held["key"]),
        value=_bytes(held["value"]),
        headers=tuple((name, _bytes(value)) for name, value in held["headers"]),
        timestamp_ms=held["timestamp_ms"],
        state=State(held["state"]),
        error=held["error"],
        attempts=held["attempts"],
        parked_at_ms=int(since),
        request=None if request is None else request.decode(),
    )


def load_all(parked: Mapping[bytes, bytes], wanted: Mapping[bytes, bytes]) -> list[Parked]:
    """Every record of the two hashes, by topic, partition and offset."""
    return sorted((load(field, kept, wanted.get(field)) for field, kept in parked.items()), key=lambda r: r.place)


def of_key(records: Iterable[Parked], asked: Parked) -> list[Parked]:
    """Those that have the key of the one asked for; of one without a key itself alone."""
    return [
        record
        for record in records
        if record.place == asked.place
        or (asked.key is not None and record.place[:2] == asked.place[:2] and record.key == asked.key)
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
