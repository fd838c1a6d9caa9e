"""Faults inside containers carry the way to them."""

from typing import Any

import pytest
from atlas_contracts.values.binary import Refused, compile_writer
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import MAX_FAULTS, compile_shape
from fastavro.schema import parse_schema


def shape_of(field_type: Any, **field: Any) -> Any:
    fields = [{"name": "f", "type": field_type, **field}]
    return compile_shape(parse_schema({"type": "record", "name": "t.R", "fields": fields}), {})


def faults(shape: Any, value: Any, *, json: bool = True) -> list[tuple[str, str, str]]:
    with pytest.raises(Faults) as raised:
        shape(value, json)
    return [(error.path, error.found, error.expected) for error in raised.value.errors]


def test_every_bad_item_of_an_array_is_named() -> None:
    shape = shape_of({"type": "array", "items": "int"})
    assert faults(shape, {"f": [1, "a", 2, None]}) == [
        ("/f/1", '"a" (string)', "int (32-bit whole number)"),
        ("/f/3", "null", "int (32-bit whole number)"),
    ]
    assert faults(shape, {"f": {"a": 1}}) == [("/f", "an object of 1", "array")]


def test_map_keys_are_escaped_as_json_pointers() -> None:
    shape = shape_of({"type": "map", "values": "string"})
    assert faults(shape, {"f": {"a/b": 1, "c~d": None}}) == [
        ("/f/a~1b", "1 (integer)", "string"),
        ("/f/c~0d", "null", "string"),
    ]
    assert faults(shape, {"f": {1: "x"}}, json=False) == [("/f/1", "the key 1 (integer)", "a UTF-8 string as the key")]


def test_a_fault_inside_a_nullable_record_keeps_its_path() -> None:
    inner = {"type": "record", "name": "t.In", "fields": [{"name": "x", "type": "int"}]}
    shape = shape_of(["null", inner])
    assert shape({"f": None}, True) == {"f": None}
    assert faults(shape, {"f": {"x": "1"}}) == [("/f/x", '"1" (string)', "int (32-bit whole number)")]
    assert faults(shape, {"f": 3}) == [("/f", "3 (integer)", "object (t.In) or null")]


def test_a_union_names_all_it_takes() -> None:
    shape = shape_of(["string", "int", "boolean"])
    assert shape({"f": True}, True) == {"f": True}
    assert faults(shape, {"f": 1.5}) == [("/f", "1.5 (number)", "string or int (32-bit whole number) or true or false")]


def test_an_enum_names_its_symbols() -> None:
    shape = shape_of({"type": "enum", "name": "t.E", "symbols": ["UP", "DOWN"]})
    assert shape({"f": "UP"}, True) == {"f": "UP"}
    assert faults(shape, {"f": "up"}) == [("/f", '"up" (string)', "one of UP, DOWN")]


def test_fixed_wants_its_size() -> None:
    shape = shape_of({"type": "fixed", "name": "t.F", "size": 2})
    assert shape({"f": "\u00ff\x00"}, True) == {"f": b"\xff\x00"}
    assert faults(shape, {"f": "abc"}) == [
        ("/f", '"abc" (string): 3 bytes', "exactly 2 bytes, as text of code points 0 to 255")
    ]
    assert faults(shape, {"f": "ab"}, json=False) == [("/f", '"ab" (string)', "exactly 2 bytes")]


def test_a_default_is_fresh_each_time() -> None:
    shape = shape_of({"type": "array", "items": "int"}, default=[1])
    first = shape({}, True)
    first["f"].append(2)
    assert shape({}, True) == {"f": [1]}


def test_a_value_that_is_no_object_is_one_fault() -> None:
    assert faults(shape_of("int"), [1]) == [("", "an array of 1", "object (t.R)")]


def test_the_number_of_faults_is_bounded() -> None:
    shape = shape_of({"type": "array", "items": "int"})
    assert len(faults(shape, {"f": ["x"] * 1000})) == MAX_FAULTS


class Counted(dict[str, Any]):
    """An object that counts how often its fields are looked at."""

    looks = 0

    def __getitem__(self, name: str) -> Any:
        Counted.looks += 1
        return super().__getitem__(name)


@pytest.mark.parametrize("kind", ["nullable", "union", "array", "map"])
@pytest.mark.parametrize("write", [compile_writer, None])
def test_a_fault_at_the_end_of_a_value_that_nests_costs_no_more_than_the_value(kind: str, write: Any) -> None:
    below: Any = {
        "nullable": ["null", "t.N"],
        "union": ["null", "int", "t.N"],
        "array": {"type": "array", "items": "t.N"},
        "map": {"type": "map", "values": "t.N"},
    }[kind]
    fields = [{"name": "x", "type": "int"}, {"name": "n", "type": below}]
    parsed = parse_schema({"type": "record", "name": "t.N", "fields": fields})
    check = compile_shape(parsed, {}) if write is None else write(parsed, json=True)
    depth, last = 60, {"nullable": None, "union": None, "array": [], "map": {}}[kind]
    value: Any = Counted(x="no number", n=last)
    for _ in range(depth - 1):
        value = Counted(x=1, n={"array": [value], "map": {"k": value}}.get(kind, value))
    Counted.looks = 0
    with pytest.raises((Faults, Refused)):
        check(value, True) if write is None else check(value)
    assert Counted.looks <= 2 * depth
