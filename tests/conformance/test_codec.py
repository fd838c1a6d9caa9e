"""Any schema of the specification and any value of it: bytes to JSON and back, and refusals that name the field."""

import copy
import json
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import fastavro
import orjson
from atlas_avro.names import parse
from atlas_avro.walk import without_logical_types
from atlas_contracts import exact_json
from atlas_contracts.binary_reader import compile_reader
from atlas_contracts.codec import Codec
from atlas_contracts.errors import BrokenSchemas, InvalidEvent
from atlas_contracts.events import Event
from atlas_contracts.resolution import named_types
from hypothesis import assume, event, given, note, settings
from hypothesis import strategies as st

from tests.conformance.mesh_of_one import BEFORE, EVENT, KEY, codec_of, frame
from tests.conformance.schemas import Maker, settled, spelled
from tests.conformance.values import Endless, Values, comparable

RANDOM = st.randoms(use_true_random=False)
EXAMPLES = 60
JUNK: list[Any] = [None, True, 2**70, -1, 1.5, "\u20ac", "x", [], {}, [None], {"a": 1}, "2013-01-01", 1e300]


def a_type(random: Random) -> Any:
    """A type, written in one of the ways that the specification allows."""
    maker = Maker(random)
    made = maker.type(3)
    return spelled(random, settled(made, copy.deepcopy(maker.names), set()), "t")


def a_codec(definition: Any) -> Codec:
    """The codec of the type; what the house refuses when the schema is added is not looked at here."""
    note(json.dumps(definition))
    with tempfile.TemporaryDirectory() as directory:
        try:
            return codec_of(Path(directory), definition)
        except BrokenSchemas as error:
            assume(False)
            raise AssertionError from error


def parsed_in_event(definition: Any) -> Any:
    """The type with full names, as it is in the event's namespace."""
    event = {"type": "record", "name": EVENT, "fields": [{"name": "f", "type": definition}]}
    return parse(event)["fields"][0]["type"]


def a_body(random: Random, definition: Any, *, sound: bool) -> bytes:
    parsed = parsed_in_event(definition)
    try:
        return Values(random, named_types(parsed), sound=sound).written(parsed)
    except Endless as error:
        assume(False)
        raise AssertionError from error


def through_json(codec: Codec, decoded: Event) -> Any:
    """The value as a client of the gateway gets it."""
    text = orjson.dumps(codec.to_json(decoded))
    return exact_json.parse(text) if codec.exact(EVENT) else orjson.loads(text)


@given(RANDOM)
@settings(max_examples=EXAMPLES)
def test_a_value_comes_back_from_json(random: Random) -> None:
    definition = a_type(random)
    codec = a_codec(definition)
    decoded = codec.decode(frame(codec) + a_body(random, definition, sound=True))
    again = codec.decode(codec.encode_json(EVENT, through_json(codec, decoded)))
    assert comparable(again.value) == comparable(decoded.value)
    assert comparable(codec.decode(codec.encode(EVENT, decoded.value)).value) == comparable(decoded.value)


@given(RANDOM)
@settings(max_examples=EXAMPLES)
def test_bytes_are_read_as_fastavro_reads_them(random: Random) -> None:
    definition = parsed_in_event(without_logical_types(a_type(random)))
    body = a_body(random, definition, sound=False)
    read = compile_reader(definition)(body, 0)
    expected = fastavro.schemaless_reader(BytesIO(body), fastavro.parse_schema(as_fastavro_has_it(definition)), None)
    assert comparable(read) == comparable(expected)


def as_fastavro_has_it(definition: Any) -> Any:
    """Without defaults, of which fastavro refuses some that are right; they are no matter to what is read."""
    if isinstance(definition, list):
        return [as_fastavro_has_it(branch) for branch in definition]
    if isinstance(definition, dict):
        return {key: as_fastavro_has_it(part) for key, part in definition.items() if key != "default"}
    return definition


@given(RANDOM)
@settings(max_examples=EXAMPLES)
def test_what_other_producers_wrote_is_shown_and_taken_back_or_refused_by_name(random: Random) -> None:
    """NaN, years beyond 9999, decimals of too many digits: read and shown; only what JSON can hold is taken back."""
    definition = a_type(random)
    codec = a_codec(definition)
    decoded = codec.decode(frame(codec) + a_body(random, definition, sound=False))
    try:
        again = codec.decode(codec.encode_json(EVENT, through_json(codec, decoded)))
    except InvalidEvent as refused:
        elsewhere = [fault for fault in refused.errors if not fault.path.startswith("/f")]
        assert not elsewhere
        event("refused")
        return
    assert comparable(again.value) == comparable(decoded.value)


@given(RANDOM, st.sampled_from(JUNK))
@settings(max_examples=EXAMPLES)
def test_junk_anywhere_is_taken_for_a_value_or_refused_where_it_is(random: Random, junk: Any) -> None:
    definition = a_type(random)
    codec = a_codec(definition)
    decoded = codec.decode(frame(codec) + a_body(random, definition, sound=True))
    obj = through_json(codec, decoded)
    path, holder, key = random.choice(list(places(obj, "")))
    holder[key] = junk
    try:
        framed = codec.encode_json(EVENT, obj)
    except InvalidEvent as error:
        event("refused")
        for fault in error.errors:
            assert fault.path.startswith(path) or path.startswith(fault.path), (fault, path)
            assert fault.found
            assert fault.expected
        return
    event("taken")
    taken = codec.decode(framed)
    again = codec.decode(codec.encode_json(EVENT, through_json(codec, taken)))
    assert comparable(again.value) == comparable(taken.value)


def places(value: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Every place in a document: its pointer, what holds it, and under which key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield f"{path}/{key}", value, key
        yield from places(part, f"{path}/{key}")


def test_the_key_is_where_it_is_said_to_be() -> None:
    with tempfile.TemporaryDirectory() as directory:
        codec = codec_of(Path(directory), "int")
        framed = codec.encode_json(EVENT, {"k": KEY, "f": 1})
    assert framed[:BEFORE] == frame(codec)
    assert json.loads(json.dumps(codec.to_json(codec.decode(framed)))) == {"k": KEY, "f": 1}
