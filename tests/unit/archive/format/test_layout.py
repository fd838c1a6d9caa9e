"""The schema of a file: the writer schema inside keeps its names, whatever they are."""

import json
from typing import Any

import fastavro
import pytest
from atlas_archive.format.checker import compile_skip
from atlas_archive.format.layout import BadSchema, file_schema, framing, parse, raw_schema


def test_framing_is_confluents() -> None:
    assert framing(0x01020304) == b"\x00\x01\x02\x03\x04"


@pytest.mark.parametrize("name", ["Plain", "with.space.Plain", "ArchivedRecord", "ArchivedHeader", "ArchivedRecord_"])
def test_names_inside_stay_as_they_were(name: str) -> None:
    value = {"type": "record", "name": name, "fields": [{"name": "next", "type": ["null", name]}]}
    parsed: Any = fastavro.parse_schema(file_schema(value), named_schemas={})
    inner = parsed["fields"][-1]["type"]
    assert inner["name"] == name
    assert inner["fields"][0]["type"][1] == name


def test_the_envelope_steps_aside_for_every_name_in_the_value() -> None:
    value = {"type": "enum", "name": "ArchivedRecord", "symbols": ["A"], "aliases": ["ArchivedRecord_"]}
    assert file_schema(value)["name"] == "ArchivedRecord__"
    assert raw_schema()["name"] == "ArchivedRecord"


def test_parsing_keeps_nothing_from_one_call_to_the_next() -> None:
    one = {"type": "record", "name": "Same", "fields": [{"name": "a", "type": "int"}]}
    other = {"type": "record", "name": "Same", "fields": [{"name": "b", "type": "string"}]}
    assert parse(json.dumps(one))["fields"][0]["name"] == "a"
    assert parse(json.dumps(other))["fields"][0]["name"] == "b"


@pytest.mark.parametrize("text", ["{", "{}", '"nothing"', '{"type": "record"}', "[1]"])
def test_what_is_no_schema_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadSchema, match="not an Avro schema"):
        parse(text)


def test_what_avros_java_library_takes_and_fastavro_does_not_is_a_schema() -> None:
    fixed = {"type": "fixed", "name": "F", "namespace": "", "size": 1}
    fields = [
        {"name": "a", "type": "double", "default": -2},
        {"name": "b", "type": fixed},
        {"name": "c", "type": "F"},
    ]
    parsed = parse(json.dumps({"type": "record", "name": "t.R", "fields": fields}))
    assert [field["name"] for field in parsed["fields"]] == ["a", "b", "c"]


def test_a_type_without_a_namespace_may_be_named_in_any() -> None:
    fixed = {"type": "fixed", "name": "F", "namespace": "", "size": 2}
    inner = {"type": "record", "name": "b.In", "fields": [{"name": "x", "type": {"type": "array", "items": "F"}}]}
    fields = [{"name": "a", "type": fixed}, {"name": "b", "type": ["null", "F"]}, {"name": "c", "type": inner}]
    parsed = parse(json.dumps({"type": "record", "name": "a.R", "fields": fields}))
    # One of nulls, then c: an array of one F.
    assert compile_skip(parsed)(b"ff\x02gg\x02hh\x00", 0, 9) == 9
