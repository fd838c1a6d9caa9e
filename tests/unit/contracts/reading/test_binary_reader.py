"""What is read is what fastavro would read, and bytes that it refuses are refused."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_avro.walk import without_logical_types
from atlas_contracts.reading.binary_reader import BROKEN, compile_reader
from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import parse_schema
from hypothesis import given, settings
from hypothesis import strategies as st


def written(parsed: Any, value: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, parsed, value)
    return out.getvalue()


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_values_are_those_of_fastavro(avro: SimpleNamespace, data: st.DataObject) -> None:
    definition = without_logical_types(data.draw(avro.schemas()))
    parsed = parse_schema(definition)
    body = written(parsed, data.draw(avro.values(definition)))
    assert compile_reader(parsed)(b"\x00abcd" + body, 5) == schemaless_reader(BytesIO(body), parsed, None)


@given(st.data(), st.binary(max_size=20), st.integers(0, 20))
@settings(max_examples=500, deadline=None)
def test_what_is_taken_from_broken_bytes_is_what_fastavro_takes(
    avro: SimpleNamespace, data: st.DataObject, noise: bytes, at: int
) -> None:
    definition = without_logical_types(data.draw(avro.schemas()))
    parsed = parse_schema(definition)
    body = written(parsed, data.draw(avro.values(definition)))
    body = body[:at] + noise + body[at + len(noise) :]
    try:
        value = compile_reader(parsed)(body, 0)
    except BROKEN:
        return
    stream = BytesIO(body)
    # As text, so that a float that is not a number equals itself.
    assert repr(value) == repr(schemaless_reader(stream, parsed, None))
    assert stream.tell() == len(body)


@pytest.mark.parametrize("number", [0, -1, 63, 64, 8191, 8192, 1_357_035_300_000, 2**41, 2**63 - 1, -(2**63)])
def test_numbers_of_every_length(number: int) -> None:
    parsed = parse_schema("long")
    assert compile_reader(parsed)(written(parsed, number), 0) == number


def test_a_type_that_holds_itself() -> None:
    parsed = parse_schema(
        {
            "type": "record",
            "name": "t.Node",
            "fields": [{"name": "value", "type": "int"}, {"name": "next", "type": ["null", "t.Node"]}],
        }
    )
    value = {"value": 1, "next": {"value": 2, "next": None}}
    assert compile_reader(parsed)(written(parsed, value), 0) == value


@pytest.mark.parametrize(
    ("kind", "body"),
    [("string", b"\x01"), ("string", b"\x04a"), ("string", b"\x02a!"), ("boolean", b"\x02"), ("long", b"\xff" * 11)],
)
def test_what_is_not_a_value_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(BROKEN):
        compile_reader(parse_schema(kind))(body, 0)
