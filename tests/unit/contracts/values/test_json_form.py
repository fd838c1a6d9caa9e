"""Decoded values as JSON."""

from typing import Any

import pytest
from atlas_contracts.values.json_form import compile_render
from fastavro.schema import parse_schema

TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}
INNER = {"type": "record", "name": "t.In", "fields": [{"name": "at", "type": TIMESTAMP}]}


@pytest.mark.parametrize(
    ("field", "value", "rendered"),
    [
        ("long", 5, 5),
        (TIMESTAMP, 0, "1970-01-01T00:00:00.000Z"),
        (TIMESTAMP, 2**62, 2**62),
        (["null", TIMESTAMP], None, None),
        (["null", TIMESTAMP], -1, "1969-12-31T23:59:59.999Z"),
        ("bytes", b"\x00\xff", "\x00\xff"),
        ({"type": "fixed", "name": "t.F", "size": 1}, b"\xff", "\xff"),
        ({"type": "array", "items": TIMESTAMP}, [0], ["1970-01-01T00:00:00.000Z"]),
        ({"type": "array", "items": "int"}, [1], [1]),
        ({"type": "map", "values": "bytes"}, {"a": b"x"}, {"a": "x"}),
        (["null", {"type": "array", "items": "bytes"}], [b"x"], ["x"]),
        (["null", INNER], {"at": 0}, {"at": "1970-01-01T00:00:00.000Z"}),
        (INNER, {"at": 0}, {"at": "1970-01-01T00:00:00.000Z"}),
    ],
)
def test_each_type_has_its_form(field: Any, value: Any, rendered: Any) -> None:
    definition = {"type": "record", "name": "t.R", "fields": [{"name": "f", "type": field}]}
    decoded = {"f": value}
    assert compile_render(parse_schema(definition), {})(decoded) == {"f": rendered}
    assert decoded == {"f": value}, "the decoded value was changed"


def test_a_record_may_hold_itself() -> None:
    fields = [{"name": "at", "type": TIMESTAMP}, {"name": "next", "type": ["null", "t.Node"]}]
    render = compile_render(parse_schema({"type": "record", "name": "t.Node", "fields": fields}), {})
    assert render({"at": 0, "next": {"at": 1, "next": None}}) == {
        "at": "1970-01-01T00:00:00.000Z",
        "next": {"at": "1970-01-01T00:00:00.001Z", "next": None},
    }


def test_a_number_that_json_has_not_is_given_out_by_its_name() -> None:
    """The serializer would write null: that there is none."""
    definition = {"type": "array", "items": ["null", "double"]}
    render = compile_render(definition, {})
    found = render([None, 1.5, float("nan"), float("inf"), float("-inf")])
    assert found == [None, 1.5, "NaN", "Infinity", "-Infinity"]
    assert compile_render("float", {})(float("nan")) == "NaN"
