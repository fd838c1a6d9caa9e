"""Which branch a value of a union is of: said by its name, or clear; and given out so that it comes back."""

import json
import time
from io import BytesIO
from typing import Any

import pytest
from atlas_avro.names import parse
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.reading.binary_reader import compile_reader
from atlas_contracts.values.binary import compile_writer
from atlas_contracts.values.json_form import compile_render
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import compile_shape
from atlas_contracts.values.unions import branches_of
from fastavro import parse_schema, schemaless_reader

A = {"type": "record", "name": "t.A", "fields": [{"name": "x", "type": "int"}]}
B = {
    "type": "record",
    "name": "t.B",
    "fields": [{"name": "y", "type": "int"}, {"name": "z", "type": "int", "default": 0}],
}
E_ = {"type": "enum", "name": "t.E", "symbols": ["RED"]}
MAP = {"type": "map", "values": "long"}
DATE = {"type": "int", "logicalType": "date"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
NUMBERS = ["null", "long", "double"]


def taken(definition: Any, value: Any) -> Any:
    """The JSON value as it is read again once it was written, and JSON of that."""
    parsed = parse(definition)
    checked = compile_shape(parsed, {})(value, True)
    body = compile_writer(parsed, json=False)(checked)
    read = compile_reader(parsed)(body, 0)
    assert read == checked
    shown = compile_render(parsed, {})(read)
    again = compile_shape(parsed, {})(json.loads(json.dumps(shown)), True)
    assert compile_writer(parsed, json=False)(again) == body
    return shown


@pytest.mark.parametrize(
    ("union", "value", "shown"),
    [
        (NUMBERS, 5, {"long": 5}),
        (NUMBERS, {"double": 5}, {"double": 5.0}),
        (NUMBERS, 5.5, {"double": 5.5}),
        (NUMBERS, None, None),
        (NUMBERS, {"null": None}, None),
        (["null", "long"], {"long": 5}, 5),
        (["null", A], {"t.A": {"x": 1}}, {"x": 1}),
        (["null", A], {"A": {"x": 1}}, {"x": 1}),
        (["null", A], {"x": 1}, {"x": 1}),
        (["null", "string", MAP], {"map": {"a": 1}}, {"a": 1}),
        (["null", MAP], {"map": {"map": 5}}, {"map": {"map": 5}}),  # what would look like a tag is tagged
        (["null", MAP], {"map": {}}, {}),
        (["string", "bytes"], {"bytes": "\u00ff"}, {"bytes": "\u00ff"}),
        (["string", "bytes"], "\u20ac", {"string": "\u20ac"}),
        ([A, B], {"x": 1}, {"t.A": {"x": 1}}),
        ([A, B], {"y": 1}, {"t.B": {"y": 1, "z": 0}}),
        ([A, B], {"t.B": {"y": 1, "z": 2}}, {"t.B": {"y": 1, "z": 2}}),
        ([A, MAP], {"map": {"x": 1}}, {"map": {"x": 1}}),
        ([A, MAP], {"w": 1}, {"map": {"w": 1}}),
        ([E_, "string"], {"t.E": "RED"}, {"t.E": "RED"}),
        ([E_, "string"], "BLUE", {"string": "BLUE"}),
        ([DATE, "string"], 19782, {"int": "2024-02-29"}),
        ([DATE, "string"], {"int": "2024-02-29"}, {"int": "2024-02-29"}),
        ([MONEY, "double"], {"bytes": "1.5"}, {"bytes": "1.50"}),
    ],
)
def test_what_is_clear_is_taken_and_comes_back(union: list[Any], value: Any, shown: Any) -> None:
    assert taken(union, value) == shown


@pytest.mark.parametrize(
    ("union", "value", "path", "expected"),
    [
        (["int", "long"], 5, "", '{"int": …} or {"long": …}'),
        ([E_, "string"], "RED", "", '{"t.E": …} or {"string": …}'),
        ([A, MAP], {"x": 1}, "", '{"t.A": …} or {"map": …}'),
        ([A, B], {"w": 1}, "", '{"t.A": …} or {"t.B": …}'),
        ([A, B], 7, "", '{"t.A": …} or {"t.B": …}'),
        ([A, B], {"t.A": {"x": "1"}}, "/t.A/x", "int"),
        ([A, B], {"x": "1"}, "/x", "int"),
        (NUMBERS, {"long": 1.5}, "/long", "long"),
        (NUMBERS, "5", "", "long"),
        (["null", "long"], {"long": "x"}, "/long", "long"),
        (["null", "long", "string"], {"long": "x"}, "/long", "long"),
        ([DATE, "string"], "2024-02-29", "", '{"int": …} or {"string": …}'),
    ],
)
def test_what_is_not_clear_is_refused_and_told_how(union: list[Any], value: Any, path: str, expected: str) -> None:
    with pytest.raises(Faults) as refused:
        compile_shape(parse(union), {})(value, True)
    (fault,) = refused.value.errors
    assert fault.path == path
    assert expected in fault.expected


def test_a_default_is_of_the_first_branch_that_takes_it() -> None:
    definition = {"type": "record", "name": "t.R", "fields": [{"name": "n", "type": ["long", "double"], "default": 1}]}
    assert taken(definition, {}) == {"n": {"long": 1}}


def test_a_name_without_its_namespace_counts_where_it_is_one_types() -> None:
    of = branches_of([{**A, "name": "a.X"}, {**B, "name": "b.X"}], {})
    assert of.tag_in({"a.X": {}}) == "a.X"
    assert of.tag_in({"X": {}}) is None


def nested(depth: int, name: str) -> Any:
    value: Any = {"text": 7}
    for _ in range(depth):
        value = {name: value}
    return value


CAUSE = [{"name": "text", "type": "string", "default": ""}]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("cause", ["null", "cause"]),
        ("cause", ["null", "string", "cause"]),
        ("cause", ["null", "string", "cause", "long"]),
        ("map", ["null", {"type": "map", "values": "cause"}]),
        ("cause", ["null", "cause", MAP]),
        ("cause", ["null", {"type": "array", "items": "cause"}, "cause"]),
    ],
)
def test_what_nests_is_looked_at_once_a_level(field: str, kind: Any) -> None:
    of = [*CAUSE, {"name": field, "type": kind, "default": None}]
    parsed = parse({"type": "record", "name": "cause", "fields": of})
    for from_json in (True, False):
        began = time.process_time()
        with pytest.raises(Faults):
            compile_shape(parsed, {})(nested(60, field), from_json)
        assert time.process_time() - began < 5  # 2^60 looks would not end


def test_bytes_are_those_that_others_read() -> None:
    union = [A, B, "string", "bytes", "long", "double"]
    parsed, theirs = parse(union), parse_schema(union)
    for value in ({"t.B": {"y": 1, "z": 2}}, {"string": "x"}, {"bytes": b"x"}, {"long": 1}, {"double": 1.0}):
        ((_, inner),) = value.items()
        body = compile_writer(parsed, json=False)(value)
        assert schemaless_reader(BytesIO(body), theirs, None) == inner
    assert set(named_types(parsed)) == {"t.A", "t.B"}
