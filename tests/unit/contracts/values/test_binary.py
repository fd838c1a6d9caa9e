"""What is written is what fastavro would write, and nothing is written that the schema does not allow."""

from contextlib import suppress
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_avro.varints import long as zigzag
from atlas_avro.walk import without_logical_types
from atlas_contracts.values.binary import Refused, compile_writer
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import compile_shape
from fastavro import schemaless_writer
from fastavro.schema import parse_schema
from hypothesis import given, settings
from hypothesis import strategies as st

REFUSALS = (Refused, KeyError, UnicodeEncodeError)


def fastavro_bytes(definition: Any, value: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, parse_schema(without_logical_types(definition)), value)
    return out.getvalue()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_bytes_are_those_of_fastavro(avro: SimpleNamespace, data: st.DataObject) -> None:
    definition = data.draw(avro.schemas())
    value = data.draw(avro.values(definition))
    parsed = parse_schema(definition)

    assert compile_writer(parsed, json=False)(value) == fastavro_bytes(definition, value)


@given(st.data(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_writer_takes_nothing_that_the_shape_refuses_and_writes_what_it_returns(
    avro: SimpleNamespace, data: st.DataObject, json: bool
) -> None:
    parsed = parse_schema(data.draw(avro.schemas()))
    value = data.draw(avro.junk())
    shape, write = compile_shape(parsed, {}), compile_writer(parsed, json=json)
    try:
        checked = shape(value, json)
    except Faults:
        with pytest.raises(REFUSALS):
            write(value)
        return
    mended = compile_writer(parsed, json=False)(checked)  # must not refuse
    with suppress(*REFUSALS):
        assert write(value) == mended


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", True),
        ("int", 1.0),
        ("int", 2**31),
        ("int", -(2**31) - 1),
        ("long", 2**63),
        ("long", "1"),
        ("boolean", 1),
        ("string", b"x"),
        ("bytes", "x"),
        ("string", "\ud800"),
        ("double", "1"),
        ("float", 1e39),
    ],
)
def test_what_fastavro_may_take_silently_is_refused(kind: str, value: object) -> None:
    parsed = parse_schema({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]})
    with pytest.raises(REFUSALS):
        compile_writer(parsed, json=False)({"f": value})


def test_a_record_may_hold_itself() -> None:
    definition = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    value = {"next": {"next": None}}
    assert compile_writer(parse_schema(definition), json=False)(value) == fastavro_bytes(definition, value)


@pytest.mark.parametrize(
    ("number", "written"), [(0, b"\x00"), (-1, b"\x01"), (1, b"\x02"), (-64, b"\x7f"), (64, b"\x80\x01")]
)
def test_zigzag_is_the_encoding_of_the_specification(number: int, written: bytes) -> None:
    assert zigzag(number) == written
