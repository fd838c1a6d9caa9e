"""From what was posted to a Kafka record: checked, encoded, with its CloudEvents headers."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent
from atlas_contracts.headers import CONTENT_TYPE, cloud_event_headers, new_id
from atlas_contracts.keys import FindKey
from atlas_contracts.topics import Topic
from atlas_contracts.values.scalars import describe
from atlas_contracts.values.timestamps import rfc3339
from atlas_http.commands import SOURCE
from atlas_http.problems import field_error
from atlas_kafka.producing.producer import Outgoing

from atlas_gateway.posting.envelopes import INVALID_RECORD, Envelope, Refused, plain

# Of a record, beside its value: its own attributes or extensions, and its headers.
ATTRIBUTES_MAX = 100


@dataclass(frozen=True, slots=True)
class _OfTopic:
    """What the records of all requests to a topic share."""

    topic: Topic
    constant: Mapping[str, Sequence[tuple[str, bytes]]]
    key: Mapping[str, FindKey | None]
    crowded: bool


# By topic and codec, as making it takes as long as the record of a small request.
_OF_TOPICS: "WeakKeyDictionary[Codec, dict[str, _OfTopic]]" = WeakKeyDictionary()


class Maker:
    """Makes the records of one request to one topic."""

    def __init__(
        self,
        topic: Topic,
        codec: Codec,
        trace: Sequence[tuple[str, bytes]],
        read: Callable[[Any], Envelope] = plain,
        max_ahead_s: float = 3600.0,
    ) -> None:
        """`read` is one of the forms in `envelopes`; `trace` goes onto every record, last.

        An event's own time may be any in the past, and `max_ahead_s` ahead. It goes into the header ce_time alone: the
        record's time in Kafka, by which it is kept, is that of writing.
        """
        self.topic = topic.name
        self._topic = topic
        self._codec = codec
        self._trace = trace
        self._read = read
        self._max_ahead_s = max_ahead_s
        shared = _of_topic(topic, codec)
        self._crowded = shared.crowded
        self._only_type = topic.events[0] if len(topic.events) == 1 else None
        self._constant = shared.constant
        self._key = shared.key
        self._tail = [("content-type", CONTENT_TYPE), *trace]
        self._now_ms = 0
        self._now_header = ("ce_time", b"")

    async def make_aside(self, items: Sequence[Any]) -> list[Outgoing | Refused]:
        """As `make`; where that may take long, in a thread, so that the event loop is free meanwhile."""
        return await asyncio.to_thread(self.make, items) if self._crowded else self.make(items)

    def make(self, items: Sequence[Any]) -> list[Outgoing | Refused]:
        """A record, or why there is none, for each parsed item (an item may be refused already), in order."""
        self._now_ms = time.time_ns() // 1_000_000
        self._now_header = ("ce_time", rfc3339(self._now_ms).encode())
        one = self._short if self._read is plain else self._long
        made: list[Outgoing | Refused] = []
        for item in items:
            try:
                made.append(item if type(item) is Refused else one(item))
            except Refused as refused:
                made.append(refused)
        return made

    def _short(self, item: Any) -> Outgoing:
        """The usual case, and the hot one: a type and a value, nothing else, so all headers but two are ready."""
        if type(item) is not dict or len(item) != 2 or "value" not in item:
            return self._long(item)
        event_type = item.get("type")
        if type(event_type) is not str or event_type not in self._constant:
            return self._long(item)
        value = item["value"]
        find = self._key[event_type]
        if find is None:
            return self._long(item)
        framed = self._encode(event_type, value, "/value")
        key = self._found(find, event_type, value, framed, "/value")
        headers = [
            *self._constant[event_type],
            ("ce_id", new_id().encode()),
            ("ce_subject", key),
            self._now_header,
            *self._tail,
        ]
        return Outgoing(self._topic.name, key, framed, headers)

    def _long(self, item: Any) -> Outgoing:
        _bounded(item)
        envelope = self._read(item)
        event_type = self._only_type if envelope.type is None else envelope.type
        if event_type not in self._topic.events:
            found = "nothing" if envelope.type is None else describe(envelope.type)
            errors = [field_error("/type", found, f"one of {', '.join(self._topic.events)}")]
            raise Refused(INVALID_RECORD, f"The record is no event of {self._topic.name}.", errors)
        framed = self._encode(event_type, envelope.value, envelope.value_path)
        key = self._key_of(event_type, envelope, framed)
        time_ms = self._time_of(envelope)
        headers = cloud_event_headers(
            event_type=event_type,
            source=envelope.source,
            subject=key.decode() if envelope.subject is None else envelope.subject,
            event_id=envelope.id,
            time_ms=time_ms,
        )
        return Outgoing(self._topic.name, key, framed, [*headers, *envelope.headers, *self._trace])

    def _key_of(self, event_type: str, envelope: Envelope, framed: bytes) -> bytes:
        """The value's key, or the one that is given where the value has none; Refused where neither is right."""
        find = self._key[event_type]
        if find is None:
            given = envelope.partition_key if envelope.key is None else envelope.key
            if not isinstance(given, str) or not given:
                found = "nothing" if given is None else describe(given)
                expected = "the record's key, which the value does not hold (of a CloudEvent: partitionkey)"
                raise Refused(INVALID_RECORD, "The record has no key.", [field_error("/key", found, expected)])
            return given.encode()
        key = self._found(find, event_type, envelope.value, framed, envelope.value_path)
        if envelope.key is not None and envelope.key != key.decode():
            errors = [field_error("/key", describe(envelope.key), f"{key.decode()}, the value's own key")]
            raise Refused(INVALID_RECORD, "The key is not the value's.", errors)
        return key

    def _found(self, find: FindKey, event_type: str, value: Any, framed: bytes, value_path: str) -> bytes:
        try:
            return find(value, framed)
        except InvalidEvent as invalid:
            errors = [field_error(value_path + error.path, error.found, error.expected) for error in invalid.errors]
            raise Refused(INVALID_RECORD, f"The {event_type} has no key.", errors) from None

    def _time_of(self, envelope: Envelope) -> int:
        time_ms = envelope.time_ms
        if time_ms is None:
            return self._now_ms
        if time_ms > self._now_ms + self._max_ahead_s * 1000:
            expected = f"a time not more than {self._max_ahead_s:g} s ahead of the gateway's clock"
            raise Refused(INVALID_RECORD, "The time is ahead.", [field_error("/time", rfc3339(time_ms), expected)])
        return time_ms

    def _encode(self, event_type: str, value: Any, value_path: str) -> bytes:
        try:
            return self._codec.encode_json(event_type, value)
        except InvalidEvent as invalid:
            errors = [field_error(value_path + error.path, error.found, error.expected) for error in invalid.errors]
            raise Refused(INVALID_RECORD, f"The value is not a {event_type}.", errors) from None


def _of_topic(topic: Topic, codec: Codec) -> _OfTopic:
    known = _OF_TOPICS.setdefault(codec, {})
    found = known.get(topic.name)
    if found is None or found.topic is not topic:
        found = known[topic.name] = _OfTopic(
            topic,
            {event_type: _constant_headers(event_type) for event_type in topic.events},
            {event_type: codec.key(topic, event_type) for event_type in topic.events},
            any(codec.crowded(event_type) for event_type in topic.events),
        )
    return found


def _bounded(item: Any) -> None:
    """Refuse a record with so many attributes or headers that to look at each would be work for nothing."""
    if not isinstance(item, dict):
        return
    headers = item.get("headers")
    for name, found in (("", item), ("/headers", headers)):
        if isinstance(found, dict) and len(found) > ATTRIBUTES_MAX:
            errors = [field_error(name, describe(found), f"an object of at most {ATTRIBUTES_MAX}")]
            raise Refused(INVALID_RECORD, "The record has too much around its value.", errors)


def _constant_headers(event_type: str) -> list[tuple[str, bytes]]:
    return [("ce_specversion", b"1.0"), ("ce_type", event_type.encode()), ("ce_source", SOURCE.encode())]
