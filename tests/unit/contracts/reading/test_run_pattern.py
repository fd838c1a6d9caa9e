"""What the expression of a schema matches, and where it ends."""

from typing import Any

import pytest
from atlas_contracts.reading.run_pattern import run_pattern
from fastavro.schema import parse_schema

PREFIX = b"\x00abcd"


def of(*kinds: Any) -> Any:
    fields = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(kinds)]
    return run_pattern(PREFIX, parse_schema({"type": "record", "name": "t.R", "fields": fields}))


def test_a_row_is_a_value_with_its_columns() -> None:
    pattern = of("string", ["null", "int"], "null")
    one, two = "\x00abcd\x04hi\x00", "\x00abcd\x02x\x02\x08"
    assert pattern.regex.findall(one + two) == [(one, "\x04hi", "", ""), (two, "\x02x", "\x08", "")]
    assert pattern.built == "{'f0': c0, 'f1': c1, 'f2': None}"


def test_what_does_not_match_ends_the_rows() -> None:
    one = "\x00abcd\x04hi"
    assert of("string").regex.findall(one + "?" + one) == [(one, "\x04hi", ""), ("", "", "?")]


def test_of_a_union_at_most_one_column_has_a_value() -> None:
    pattern = of(["int", "string", "null"])
    assert pattern.built == "{'f0': (c0 if c0 is not None else c1)}"
    rows = pattern.regex.findall("\x00abcd\x00\x08" + "\x00abcd\x02\x02x" + "\x00abcd\x04")
    assert [row[1:3] for row in rows] == [("\x08", ""), ("", "\x02x"), ("", "")]


@pytest.mark.parametrize(
    "kind", [{"type": "array", "items": "int"}, {"type": "map", "values": "int"}, ["null", "t.R"], "t.R"]
)
def test_what_repeats_has_none(kind: Any) -> None:
    assert of("string", kind) is None


def test_too_many_texts_have_none() -> None:
    assert of(*["string"] * 62) is not None
    assert of(*["string"] * 63) is None
