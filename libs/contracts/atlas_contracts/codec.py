"""Events to bytes and back: Confluent's wire format around Avro.

0x00 | schema id, 4 bytes, big-endian | Avro body
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from atlas_avro.table import logical, meaning
from atlas_avro.walk import parts

from atlas_contracts.errors import FieldError, InvalidEvent, Undecodable, UnknownSchema
from atlas_contracts.events import Event
from atlas_contracts.keys import GIVEN, FindKey, NoKey, is_plain, text_of
from atlas_contracts.reading.binary_reader import BROKEN, Reader, compile_reader
from atlas_contracts.reading.resolving_reader import compile_resolving_reader
from atlas_contracts.reading.run_reader import RunReader
from atlas_contracts.registry import Registry, Schema
from atlas_contracts.topics import Topic
from atlas_contracts.values.binary import Refused, Writer, compile_writer
from atlas_contracts.values.json_form import Render, compile_render
from atlas_contracts.values.limits import needs_limits
from atlas_contracts.values.scalars import Faults, Shape
from atlas_contracts.values.shapes import compile_shape

MAGIC = b"\x00"
PREFIX_BYTES = 5


_PLAIN = {"None", "bool", "int", "str"}


@dataclass(frozen=True, slots=True)
class _Compiled:
    """All that is known of an event type's newest schema, as functions."""

    prefix: bytes
    shape: Shape
    write: Writer
    write_json: Writer
    render: Render
    # Where values could break a limit that their size does not set: reads what was written, and refuses it.
    check: Reader | None
    exact: bool
    crowded: bool
    plain: bool
    definition: Any

    def plain_key(self, rule: str) -> bool:
        """See keys.is_plain."""
        return is_plain(rule, self.definition)

    def mended(self, event_type: str, obj: Any, *, from_json: bool) -> bytes:
        """The framed bytes of a value that is not plainly right: with its defaults. Raises InvalidEvent."""
        value = _checked(event_type, self.shape, obj, from_json=from_json)
        try:
            return self.prefix + self.write(value)
        except RecursionError:
            raise _too_deep(event_type) from None


class _Older:
    """A schema that is not its type's newest, and that one."""

    def __init__(self, event_type: str, writer: dict[str, Any], newest: dict[str, Any]) -> None:
        self.type = event_type
        self._writer = writer
        self._newest = newest

    @cached_property
    def read(self) -> Reader:
        """Made when the first such event comes: there are many old schemas, and most are not met again."""
        return compile_resolving_reader(self._writer, self._newest)


class Newest(NamedTuple):
    """What reads values of a type's newest schema, one by one and many together."""

    type: str
    read: Reader
    runs: RunReader


class Codec:
    """Encodes with the newest schema of a type, decodes every schema of the registry. Safe to share between threads."""

    def __init__(self, registry: Registry) -> None:
        self._types: dict[str, _Compiled] = {}
        self._older: dict[int, _Older] = {}
        # By the five bytes in front of a value of a type's newest schema.
        self.newest: dict[bytes, Newest] = {}
        for event_type in registry.event_types:
            newest = registry.latest(event_type)
            self._types[event_type] = _compile(newest)
            prefix = frame_prefix(newest)
            runs = RunReader(prefix, newest.parsed)
            self.newest[prefix] = Newest(event_type, compile_reader(newest.parsed), runs)
            for schema in registry.versions(event_type)[:-1]:
                self._older[schema.id] = _Older(event_type, schema.parsed, newest.parsed)

    def encode(self, event_type: str, value: Mapping[str, Any]) -> bytes:
        """The framed bytes of a value under the newest schema of its type.

        A missing field takes its schema's default. Raises InvalidEvent with every fault, UnknownSchema for an
        unknown type.
        """
        compiled = self._compiled(event_type)
        try:
            framed = compiled.prefix + compiled.write(value)
        except (Refused, KeyError, UnicodeEncodeError, RecursionError):
            framed = compiled.mended(event_type, value, from_json=False)
        return framed if compiled.check is None else _within_limits(event_type, compiled.check, framed)

    def encode_json(self, event_type: str, obj: Any) -> bytes:
        """The same as `encode(event_type, from_json(event_type, obj))`, in one pass."""
        compiled = self._compiled(event_type)
        try:
            framed = compiled.prefix + compiled.write_json(obj)
        except (Refused, KeyError, UnicodeEncodeError, RecursionError):
            framed = compiled.mended(event_type, obj, from_json=True)
        return framed if compiled.check is None else _within_limits(event_type, compiled.check, framed)

    def decode(self, framed: bytes | None) -> Event:
        """The event in framed bytes, in the shape of its type's newest schema; Undecodable when there is none."""
        if framed is None or len(framed) < PREFIX_BYTES or framed[0] != 0:
            raise Undecodable(_not_framed(framed))
        schema_id = int.from_bytes(framed[1:PREFIX_BYTES], "big")
        known = self.newest.get(framed[:PREFIX_BYTES]) or self._older.get(schema_id)
        if known is None:
            raise Undecodable(f"schema id {schema_id} is not in the registry")
        try:
            value = known.read(framed, PREFIX_BYTES)
        except BROKEN as error:
            raise Undecodable(f"the body is not a {known.type} of schema id {schema_id}: {_told(error)}") from error
        return Event(known.type, schema_id, value)

    @staticmethod
    def schema_id(framed: bytes | None) -> int | None:
        """The schema id in the frame, known or not; None when the bytes are not framed."""
        if framed is None or len(framed) < PREFIX_BYTES or framed[0] != 0:
            return None
        return int.from_bytes(framed[1:PREFIX_BYTES], "big")

    def from_json(self, event_type: str, obj: Any) -> dict[str, Any]:
        """The value in a parsed JSON document, checked strictly and with defaults filled in.

        Dates and times may be ISO 8601 text or numbers, decimals text or numbers: see docs/types.md, and `exact`.
        Raises InvalidEvent with every fault (unknown field, missing field, wrong type, out of range), UnknownSchema for
        an unknown type.
        """
        return _checked(event_type, self._compiled(event_type).shape, obj, from_json=True)

    def exact(self, event_type: str) -> bool:
        """Whether the JSON of this type has to be read by `exact_json.parse`.

        A decimal anywhere in it takes a JSON number only as it was written, not by way of a float. UnknownSchema for an
        unknown type.
        """
        return self._compiled(event_type).exact

    def crowded(self, event_type: str) -> bool:
        """Whether one value of this type may hold any number of values of logical types, each of which takes
        microseconds to check. UnknownSchema for an unknown type.
        """
        return self._compiled(event_type).crowded

    def is_plain(self, event_type: str) -> bool:
        """Whether a decoded value of this type holds only what JSON has too: no bytes, decimal or duration, and no
        float, which could be NaN. Of an unknown type there are no values.
        """
        compiled = self._types.get(event_type)
        return compiled is None or compiled.plain

    def to_json(self, event: Event) -> dict[str, Any]:
        """The value as JSON can hold it: dates, times and decimals as text, bytes as text of code points."""
        return self._compiled(event.type).render(event.value)  # type: ignore[no-any-return]

    def key(self, topic: Topic, event_type: str) -> FindKey | None:
        """A function from a value and its framed bytes to the key of its record on the topic; None when whoever posts
        the record gives it.

        The key has one text whatever form the value came in: that of `to_json`, for a uuid its lower case. The function
        raises InvalidEvent when the key is null.
        """
        rule = topic.key_field(event_type)
        if rule == GIVEN:
            return None
        if self._compiled(event_type).plain_key(rule):
            return lambda value, _framed: str(value[rule]).encode()

        def found(_value: Mapping[str, Any], framed: bytes) -> bytes:
            try:
                return text_of(rule, self.to_json(self.decode(framed)))
            except NoKey as error:
                fault = FieldError(error.path, "null", f"the record's key: {rule}")
                raise InvalidEvent(event_type, [fault]) from None

        return found

    def _compiled(self, event_type: str) -> _Compiled:
        try:
            return self._types[event_type]
        except KeyError:
            raise UnknownSchema(f"no event type is named {event_type}") from None


def frame_prefix(schema: Schema) -> bytes:
    """The five bytes that stand before every body of this schema."""
    return MAGIC + schema.id.to_bytes(4, "big")


def _compile(schema: Schema) -> _Compiled:
    definition = schema.parsed
    return _Compiled(
        prefix=frame_prefix(schema),
        definition=definition,
        shape=compile_shape(definition, {}),
        write=compile_writer(definition, json=False),
        write_json=compile_writer(definition, json=True),
        render=compile_render(definition, {}),
        exact=any(found.exact for part in parts(definition) if (found := meaning(part)) is not None),
        crowded=_is_crowded(definition),
        plain=all(found.python.split()[0] in _PLAIN for part in parts(definition) if (found := meaning(part))),
        check=compile_reader(definition) if needs_limits(definition) else None,
    )


def _is_crowded(definition: Any) -> bool:
    found = list(parts(definition))
    repeated = any(isinstance(part, Mapping) and part["type"] in ("array", "map") for part in found)
    recursive = any(isinstance(part, str) and meaning(part) is None for part in found)  # a reference, at the least
    return (repeated or recursive) and any(logical(part) is not None for part in found)


def _within_limits(event_type: str, check: Reader, framed: bytes) -> bytes:
    try:
        check(framed, PREFIX_BYTES)
    except BROKEN as error:
        raise InvalidEvent(event_type, [FieldError("", f"a value that is {_told(error)}", "a smaller one")]) from None
    return framed


def _told(error: Exception) -> str:
    """What is wrong with bytes, in words."""
    if isinstance(error, IndexError | struct.error):
        return "it ends too early"
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"


def _checked(event_type: str, shape: Shape, obj: Any, *, from_json: bool) -> dict[str, Any]:
    try:
        return shape(obj, from_json)  # type: ignore[no-any-return]
    except Faults as faults:
        raise InvalidEvent(event_type, faults.errors) from None
    except RecursionError:
        raise _too_deep(event_type) from None


def _too_deep(event_type: str) -> InvalidEvent:
    return InvalidEvent(event_type, [FieldError("", "a value", "less nesting")])


def _not_framed(value: bytes | None) -> str:
    if value is None:
        return "a null value is no event"
    return "not framed Avro: the value does not start with a zero byte and a schema id"
