"""The expression of a schema matches what a writer of that schema writes, and nothing that is not a value of it."""

import io
import json
from typing import Any

import fastavro
import pytest
from atlas_archive.format.checker import CHECK_ERRORS, compile_skip
from atlas_archive.format.layout import framing, parse
from atlas_archive.format.records import Record
from atlas_archive.tables.columns import columns_of
from atlas_archive.writing.batches import pack
from atlas_archive.writing.patterns import HEADERS, KEY, LONGEST, REST, VALUE_SIZE, RecordPattern, record_pattern
from atlas_avro.names import parse as with_full_names
from atlas_avro.varints import read_unsigned
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.avro_records import record
from tests.unit.avro.large import LARGE, bounded

ORDER: Any = record(
    "a.Order",
    id="string",
    status={"type": "enum", "name": "Status", "symbols": ["NEW", "PAID"]},
    before=["null", "Status"],
    hash={"type": "fixed", "name": "Hash", "size": 3},
    other="Hash",
    at={"type": "long", "logicalType": "timestamp-micros"},
    express="boolean",
    quantity="int",
    price="double",
    weight="float",
    picture="bytes",
    buyer={"type": "record", "name": "Buyer", "fields": [{"name": "name", "type": "string"}]},
    note=["null", "string", "long"],
)
orders = st.fixed_dictionaries(
    {
        "id": st.text(max_size=60),
        "status": st.sampled_from(["NEW", "PAID"]),
        "before": st.none() | st.sampled_from(["NEW", "PAID"]),
        "hash": st.binary(min_size=3, max_size=3),
        "other": st.binary(min_size=3, max_size=3),
        "at": st.integers(-(2**63), 2**63 - 1),
        "express": st.booleans(),
        "quantity": st.integers(-(2**31), 2**31 - 1),
        "price": st.floats(allow_nan=False),
        "weight": st.floats(width=32, allow_nan=False),
        "picture": st.binary(max_size=250),
        "buyer": st.fixed_dictionaries({"name": st.text(max_size=60)}),
        "note": st.none() | st.text(max_size=60) | st.integers(0, 99),
    }
)
PARSED = parse(json.dumps(ORDER))
SKIP = compile_skip(PARSED)


def pattern(schema: Any, longest: int = LONGEST[0], names: tuple[tuple[str, ...], ...] = ()) -> RecordPattern:
    found = record_pattern(((7, json.dumps(schema)),), names, longest)
    assert found is not None
    return found


ORDERS = pattern(ORDER)


def packed(*records: Record) -> bytes:
    return pack(records).data()


def encoded(value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PARSED, value)
    return out.getvalue()


@settings(max_examples=300, deadline=None)
@given(st.lists(orders, min_size=1, max_size=4), st.none() | st.binary(max_size=250))
def test_what_a_writer_writes_is_matched(values: list[Any], key: bytes | None) -> None:
    bodies = [encoded(value) for value in values]
    rows = ORDERS.regex.findall(packed(*(Record(n, n, key, (), framing(7) + body) for n, body in enumerate(bodies))))
    (layout,) = ORDERS.bodies
    assert [row[layout.body] for row in rows] == bodies
    for row, value in zip(rows, values, strict=True):
        texts = [row[column][1:] for column in layout.texts if row[column]]
        texts += [row[column][2:] for column in layout.long_texts if row[column]]
        written = [value["id"], value["buyer"]["name"], *([value["note"]] if isinstance(value["note"], str) else [])]
        assert sorted(texts) == sorted(text.encode() for text in written)
        assert row[KEY] == (b"\1" if key is None else packed(Record(0, 0, key, (), None))[4:-2])
        assert (row[HEADERS], row[REST]) == (b"\0", b"")


@settings(max_examples=500, deadline=None)
@given(orders, st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 3))
def test_what_is_matched_is_a_value(value: Any, place: int, byte: int, cut: int) -> None:
    body = bytearray(encoded(value))
    body[place % len(body)] = byte
    damaged = bytes(body[: len(body) - cut])
    (layout,) = ORDERS.bodies
    for row in ORDERS.regex.findall(packed(Record(0, 0, None, (), framing(7) + damaged))):
        if row[REST]:
            continue
        if read_unsigned(row[VALUE_SIZE], 0)[0] >> 1 != len(row[layout.body]) + 5:
            continue  # as runs.py does: the value is longer, and what is behind the match looks like headers
        short = [row[column] for column in layout.texts]
        long = [row[column][1:] for column in layout.long_texts]
        try:
            b"\0".join(short + long).decode()
        except UnicodeDecodeError:
            continue
        assert row[layout.body] == damaged
        try:
            assert SKIP(damaged, 0, len(damaged)) == len(damaged)
        except CHECK_ERRORS as error:
            raise AssertionError(f"matched, and not a value: {damaged!r}") from error


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": "int"},
        {"type": "map", "values": "int"},
        {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]},
        {"type": "record", "name": "Empty", "fields": []},
        {"type": "enum", "name": "Many", "symbols": [f"S{n}" for n in range(65)]},
        ["null", *({"type": "fixed", "name": f"F{n}", "size": n + 1} for n in range(64))],
        {"type": "record", "name": "Wide", "fields": [{"name": f"f{n}", "type": "string"} for n in range(60)]},
        "null",
    ],
)
def test_irregular_schemas_have_no_expression(schema: Any) -> None:
    assert record_pattern(((7, json.dumps(schema)),), (), LONGEST[0]) is None


def test_deep_records_have_no_expression() -> None:
    schema: Any = "int"
    for depth in range(20):
        schema = {"type": "record", "name": f"R{depth}", "fields": [{"name": "f", "type": schema}]}
    assert record_pattern(((7, json.dumps(schema)),), (), LONGEST[0]) is None


def test_several_schemas_have_columns_of_their_own() -> None:
    found = record_pattern(((1, '"string"'), (2, '{"type": "array", "items": "int"}'), (3, '"int"')), (), LONGEST[0])
    assert found is not None
    assert [layout.schema_id for layout in found.bodies] == [1, 3]
    data = packed(Record(0, 0, None, (), framing(3) + b"\2"), Record(1, 0, None, (), framing(1) + b"\4ab"))
    assert [[row[layout.body] for layout in found.bodies] for row in found.regex.findall(data)] == [
        [b"", b"\2"],
        [b"\4ab", b""],
    ]


@pytest.mark.parametrize("longest", LONGEST)
@pytest.mark.parametrize("more", [0, 1])
def test_texts_are_matched_up_to_the_longest(longest: int, more: int) -> None:
    body = fastavro_string("x" * (longest + more))
    (row,) = pattern("string", longest).regex.findall(packed(Record(0, 0, None, (), framing(7) + body)))
    assert bool(row[REST]) is bool(more)


def test_a_run_ends_where_something_else_begins() -> None:
    good, other = Record(0, 0, b"k", (), framing(7) + b"\4ab"), Record(1, 0, b"k", (), b"json")
    rows = pattern("string").regex.findall(packed(good, other, good._replace(offset=2)))
    assert [bool(row[REST]) for row in rows] == [False, True]


def test_headers_of_known_names_are_matched() -> None:
    known = pattern("string", names=(("a", "é"),))
    value = framing(7) + b"\4ab"
    for headers, matched in (
        ((("a", b"1"), ("é", b"x" * 127)), True),
        ((), True),
        ((("a", b"1"), ("é", None)), False),
        ((("a", b"1"), ("b", b"2")), False),
        ((("a", b"1"), ("é", b"x" * 128)), False),
        ((("a", b"1"),), False),
    ):
        (row,) = known.regex.findall(packed(Record(0, 0, b"k", headers, value)))
        assert bool(row[REST]) is not matched, headers


def fastavro_string(text: str) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "string", text)
    return out.getvalue()


@pytest.mark.parametrize("name", LARGE)
def test_large_schemas_cost_no_more_than_they_may(name: str) -> None:
    text = json.dumps(LARGE[name])
    with bounded():
        parsed = parse(text)
    with bounded():
        compile_skip(parsed)
    with bounded():
        record_pattern(((1, text),), (), LONGEST[0])
    with bounded():
        columns_of(with_full_names(LARGE[name]))
