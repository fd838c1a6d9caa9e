"""What holds of any schema of the specification and any value of it. Each takes a source of chance, and makes both."""

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import fastavro
import orjson
from atlas_avro.names import parse
from atlas_avro.walk import without_logical_types
from atlas_contracts.codec import Codec
from atlas_contracts.errors import BrokenSchemas, InvalidEvent
from atlas_contracts.events import Event
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.reading.binary_reader import compile_reader
from atlas_contracts.values import exact_json

from tests.conformance.mesh_of_one import EVENT, codec_of, frame
from tests.conformance.schemas import Maker, settled, spelled
from tests.conformance.values import Endless, Values, comparable, untagged

JUNK: tuple[Any, ...] = (
    None, True, 2**70, -1, 1.5, "\u20ac", "x", [], {}, [None], {"a": 1}, "2013-01-01", 1e300,
)  # fmt: skip


NOT_JSON = ("NaN", "Infinity", "-Infinity")


class Unsuited(Exception):
    """This chance made a schema that the house refuses, or one of which there is no value."""


def comes_back_from_json(random: Random) -> None:
    """Bytes of sound values are shown as JSON, and taken back from it, to the value; and from Python."""
    definition = _a_type(random)
    codec = _a_codec(definition)
    decoded = codec.decode(frame(codec) + _a_body(random, definition, sound=True))
    _same(codec.decode(codec.encode_json(EVENT, _through_json(codec, decoded))), decoded, definition)
    _same(codec.decode(codec.encode(EVENT, decoded.value)), decoded, definition)


def is_read_as_fastavro_reads_it(random: Random) -> None:
    """Bytes of any values, logical types aside."""
    definition = _parsed_in_event(without_logical_types(_a_type(random)))
    body = _a_body(random, definition, sound=False)
    read = compile_reader(definition)(body, 0)
    expected = fastavro.schemaless_reader(BytesIO(body), fastavro.parse_schema(as_fastavro_has_it(definition)), None)
    plain = untagged(read, definition, named_types(definition))
    assert comparable(plain) == comparable(expected), json.dumps(definition)


def is_shown_whoever_wrote_it(random: Random) -> None:
    """NaN, years beyond 9999, decimals of too many digits are read and shown; what JSON has no form for is refused."""
    definition = _a_type(random)
    codec = _a_codec(definition)
    decoded = codec.decode(frame(codec) + _a_body(random, definition, sound=False))
    obj = _through_json(codec, decoded)
    if any(f"'{name}'" in repr(obj) for name in NOT_JSON):
        return  # given out by their names, which no number is taken by
    assert not any(f"'float', '{name}'" in repr(comparable(decoded.value)) for name in ("nan", "inf", "-inf"))
    try:
        framed = codec.encode_json(EVENT, obj)
    except InvalidEvent as refused:
        elsewhere = [fault for fault in refused.errors if not fault.path.startswith("/f")]
        assert not elsewhere, json.dumps(definition)
        return
    _same(codec.decode(framed), decoded, definition)


def junk_is_refused_where_it_is(random: Random) -> None:
    """Junk anywhere in a document is taken for a value, which comes back, or is refused with a path to it."""
    definition = _a_type(random)
    codec = _a_codec(definition)
    obj = _through_json(codec, codec.decode(frame(codec) + _a_body(random, definition, sound=True)))
    path, holder, key = random.choice(list(_places(obj, "")))
    holder[key] = random.choice(JUNK)
    try:
        framed = codec.encode_json(EVENT, obj)
    except InvalidEvent as refused:
        for fault in refused.errors:
            # By a path above, where a union or a record as a whole was looked at.
            on_the_way = fault.path.startswith(path) or path.startswith(fault.path)
            assert on_the_way, (json.dumps(definition), fault, path)
            assert fault.found
            assert fault.expected
        return
    taken = codec.decode(framed)
    _same(codec.decode(codec.encode_json(EVENT, _through_json(codec, taken))), taken, definition)


PROPERTIES: tuple[Callable[[Random], None], ...] = (
    comes_back_from_json,
    is_read_as_fastavro_reads_it,
    is_shown_whoever_wrote_it,
    junk_is_refused_where_it_is,
)


def _same(got: Event, expected: Event, definition: Any) -> None:
    assert comparable(got.value) == comparable(expected.value), json.dumps(definition)


def _a_type(random: Random) -> Any:
    """A type, written in one of the ways that the specification allows."""
    maker = Maker(random)
    made = maker.type(3)
    return spelled(random, settled(made, copy.deepcopy(maker.names), set()), "t")


def _a_codec(definition: Any) -> Codec:
    with tempfile.TemporaryDirectory() as directory:
        try:
            return codec_of(Path(directory), definition)
        except BrokenSchemas as error:
            raise Unsuited from error


def _parsed_in_event(definition: Any) -> Any:
    """The type with full names, as it is in the event's namespace."""
    event = {"type": "record", "name": EVENT, "fields": [{"name": "f", "type": definition}]}
    return parse(event)["fields"][0]["type"]


def _a_body(random: Random, definition: Any, *, sound: bool) -> bytes:
    parsed = _parsed_in_event(definition)
    try:
        return Values(random, named_types(parsed), sound=sound).written(parsed)
    except Endless as error:
        raise Unsuited from error


def _through_json(codec: Codec, decoded: Event) -> Any:
    """The value as a client of the gateway gets it."""
    text = orjson.dumps(codec.to_json(decoded))
    return exact_json.parse(text) if codec.exact(EVENT) else orjson.loads(text)


def as_fastavro_has_it(definition: Any) -> Any:
    """fastavro refuses some defaults that are right; they are no matter to what is read."""
    if isinstance(definition, list):
        return [as_fastavro_has_it(branch) for branch in definition]
    if isinstance(definition, dict):
        return {key: as_fastavro_has_it(part) for key, part in definition.items() if key != "default"}
    return definition


def _places(value: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Every place in a document: its pointer, what holds it, and under which key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield f"{path}/{key}", value, key
        yield from _places(part, f"{path}/{key}")
