"""Logical types anywhere in a schema: written, read one by one and in runs, resolved, shown and taken back."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_avro.names import parse
from atlas_avro.table import base, meaning
from atlas_avro.walk import without_logical_types
from atlas_contracts.codec import Codec
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.forms import NESTING_MAX
from atlas_contracts.reading.binary_reader import compile_reader
from atlas_contracts.reading.resolving_reader import compile_resolving_reader
from atlas_contracts.reading.run_reader import RunReader
from atlas_contracts.registry import Registry
from atlas_contracts.values import exact_json
from atlas_contracts.values.binary import compile_writer
from atlas_contracts.values.json_form import compile_render
from atlas_contracts.values.shapes import compile_shape
from fastavro import schemaless_writer
from fastavro.schema import parse_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.avro.definitions import DEFINITIONS, handed_over, python

LOGICAL: dict[str, list[Any]] = {}
for each in DEFINITIONS:
    if isinstance(each, dict):
        LOGICAL.setdefault(each["type"], []).append(each)
PREFIX = b"\x00\x00\x00\x00\x01"
NULL = 0


@st.composite
def with_logical_types(draw: st.DrawFn, definition: Any) -> Any:
    """The same definition, some of its primitive types and fixed with a logical type."""
    if isinstance(definition, list):
        if len(definition) == 2 and definition[NULL] == "null":
            return ["null", draw(with_logical_types(definition[1]))]
        return definition
    if isinstance(definition, dict) and definition["type"] == "record":
        fields = [{**field, "type": draw(with_logical_types(field["type"]))} for field in definition["fields"]]
        return {**definition, "fields": fields}
    for within in ("items", "values"):
        if isinstance(definition, dict) and within in definition:
            return {**definition, within: draw(with_logical_types(definition[within]))}
    kind = definition if isinstance(definition, str) else definition["type"]
    chosen = draw(st.sampled_from([definition, *LOGICAL.get(kind, [])]))
    named = {"name": definition["name"]} if isinstance(definition, dict) and "name" in definition else {}
    return {**chosen, **named} if isinstance(chosen, dict) else chosen


@st.composite
def two_forms(draw: st.DrawFn, definition: Any) -> Any:
    """A value as Python has it, and as its base."""
    if isinstance(definition, list):
        return draw(two_forms(draw(st.sampled_from(definition))))
    found = meaning(definition)
    if found is not None:
        handed = handed_over(definition).filter(lambda value: found.held is not float or abs(value) < 1e300)
        made = found.check(draw(handed))
        return python(definition, made), made
    kind = definition["type"]
    if kind == "record":
        pairs = {field["name"]: draw(two_forms(field["type"])) for field in definition["fields"]}
        return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}
    if kind == "enum":
        return (draw(st.sampled_from(definition["symbols"])),) * 2
    if kind == "array":
        many = draw(st.lists(two_forms(definition["items"]), max_size=3))
        return [pair[0] for pair in many], [pair[1] for pair in many]
    held = draw(st.dictionaries(st.sampled_from("abc"), two_forms(definition["values"]), max_size=3))
    return {key: pair[0] for key, pair in held.items()}, {key: pair[1] for key, pair in held.items()}


def fastavro_bytes(definition: Any, value: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, parse_schema(without_logical_types(definition)), value)
    return out.getvalue()


@given(st.data())
@settings(max_examples=200)
def test_a_value_is_one_thing_everywhere(avro: SimpleNamespace, data: st.DataObject) -> None:
    definition = parse(data.draw(avro.schemas().flatmap(with_logical_types)))
    value, base_value = data.draw(two_forms(definition))

    written = compile_writer(definition, json=False)(value)

    assert written == fastavro_bytes(definition, base_value)
    assert compile_reader(definition)(written, 0) == value
    assert compile_resolving_reader(definition, definition)(written, 0) == value
    assert compile_resolving_reader(without_logical_types(definition), definition)(written, 0) == value
    assert compile_reader(without_logical_types(definition))(written, 0) == base_value
    text = json.dumps(compile_render(definition, {})(value))
    shape = compile_shape(definition, {})
    back = shape(exact_json.parse(text), True)
    assert back == value
    assert compile_writer(definition, json=False)(back) == written
    assert shape(value, False) == value


@given(st.data())
@settings(max_examples=30)
def test_runs_are_read_as_one_by_one(data: st.DataObject) -> None:
    kinds = [renamed(data.draw(st.sampled_from(DEFINITIONS)), number) for number in range(3)]
    fields = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(kinds)]
    definition = parse({"type": "record", "name": "t.R", "fields": fields})
    write, read = compile_writer(definition, json=False), compile_reader(definition)
    some = [PREFIX + write(data.draw(two_forms(definition))[0]) for _ in range(4)]
    runs = RunReader(PREFIX, definition)
    framed = some * 130
    runs.read(framed)
    for one, alone in zip(runs.read(framed), framed, strict=True):
        assert one is None or repr(one) == repr(read(alone, len(PREFIX)))


def test_bytes_that_mean_nothing_are_left_to_be_read_alone() -> None:
    wide = {"type": "fixed", "name": "t.W", "size": 1000, "logicalType": "decimal", "precision": 4, "scale": 2}
    definition = parse({"type": "record", "name": "t.R", "fields": [{"name": "f", "type": wide}]})
    framed = [PREFIX + bytes(999) + bytes([number % 7]) for number in range(600)]
    runs = RunReader(PREFIX, definition)
    assert None not in runs.read(framed)[-80:]
    framed[300] = PREFIX + b"\x01" * 1000
    assert runs.read(framed)[300] is None


def renamed(definition: Any, number: int) -> Any:
    if isinstance(definition, dict) and "name" in definition:
        return {**definition, "name": f"t.F{number}"}
    return definition


def test_the_base_of_every_definition_is_a_primitive_or_a_fixed() -> None:
    assert {base(definition).name for definition in DEFINITIONS} >= set(LOGICAL)


def nested(kind: str, levels: int) -> tuple[Any, Any]:
    """A definition of so many types within types, and a value of it."""
    definition: Any = DEFINITIONS[-1]
    value: Any = "P1M2DT3.004S"
    for level in range(levels):
        if kind in ("array", "map"):
            definition = {"type": kind, "items" if kind == "array" else "values": definition}
            value = [value] if kind == "array" else {"k": value}
        elif kind == "union" and level % 2:
            definition = ["null", definition]
        else:
            definition = {"type": "record", "name": f"t.N{level}", "fields": [{"name": "f", "type": definition}]}
            value = {"f": value}
    return definition, value


@pytest.mark.parametrize("kind", ["record", "array", "map", "union"])
def test_the_deepest_schema_that_is_accepted_can_be_used(
    kind: str, tmp_path: Path, release: Callable[[Path, str, dict[str, Any]], int]
) -> None:
    topics = "topics:\n  t.events: {key: id, events: [t.Deep], partitions: 1, retention: 1d}\n"
    (tmp_path / "topics.yaml").write_text(topics)

    def deep(levels: int) -> tuple[dict[str, Any], Any]:
        definition, value = nested(kind, levels)
        fields = [{"name": "id", "type": "string"}, {"name": "f", "type": definition}]
        return {"type": "record", "name": "Deep", "namespace": "t", "fields": fields}, {"id": "1", "f": value}

    with pytest.raises(BrokenSchemas, match=f"nested deeper than {NESTING_MAX}"):
        release(tmp_path, "t/deep.v1.avsc", deep(NESTING_MAX)[0])
    definition, value = deep(NESTING_MAX - 1)
    release(tmp_path, "t/deep.v1.avsc", definition)
    codec = Codec(Registry.load(tmp_path))
    event = codec.decode(codec.encode_json("t.Deep", value))
    assert codec.to_json(event) == value
    assert codec.encode("t.Deep", event.value) == codec.encode_json("t.Deep", value)
    parsed = Registry.load(tmp_path).latest("t.Deep").parsed
    assert compile_resolving_reader(parsed, parsed)(codec.encode_json("t.Deep", value), 5) == event.value


def test_an_event_may_be_what_avro_calls_an_error(
    tmp_path: Path, release: Callable[[Path, str, dict[str, Any]], int]
) -> None:
    """Also where its like nest in arrays, deeper than Python nests loops."""
    (tmp_path / "topics.yaml").write_text(
        "topics:\n  t.events: {key: id, events: [t._Failed], partitions: 1, retention: 1d}\n"
    )
    kind: Any = "int"
    value: Any = 5
    for level in range(30):
        inner = {"type": "error", "name": f"t.In{level}", "fields": [{"name": "f", "type": kind}]}
        kind, value = {"type": "array", "items": inner}, [{"f": value}, {"f": value}][: 2 if level < 3 else 1]
    fields = [{"name": "id", "type": "string"}, {"name": "f", "type": kind}]
    older = {"type": "error", "name": "_Failed", "namespace": "t", "fields": fields}
    release(tmp_path, "t/_failed.v1.avsc", older)
    framed = Codec(Registry.load(tmp_path)).encode_json("t._Failed", {"id": "1", "f": value})
    newer = {**older, "fields": [*fields, {"name": "more", "type": "int", "default": 0}]}
    release(tmp_path, "t/_failed.v2.avsc", newer)
    codec = Codec(Registry.load(tmp_path))
    assert codec.to_json(codec.decode(framed)) == {"id": "1", "f": value, "more": 0}
    assert codec.decode(codec.encode("t._Failed", codec.decode(framed).value)).value == codec.decode(framed).value
