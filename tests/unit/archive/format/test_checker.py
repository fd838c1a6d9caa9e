"""The generated checks agree with fastavro: what it writes passes, and what passes it can read."""

import io
import json
import time
from typing import Any

import fastavro
import pytest
from atlas_archive.format.checker import CHECK_ERRORS, Skip, compile_skip
from atlas_archive.format.layout import parse
from hypothesis import given, settings
from hypothesis import strategies as st

TREE: Any = {
    "type": "record",
    "name": "a.Tree",
    "fields": [
        {"name": "label", "type": {"type": "enum", "name": "Label", "symbols": ["X", "Y"]}},
        {"name": "other", "type": "Label"},
        {"name": "id", "type": {"type": "fixed", "name": "Id", "size": 3}},
        {"name": "weights", "type": {"type": "map", "values": ["null", "double", "string"]}},
        {"name": "children", "type": {"type": "array", "items": "Tree"}},
        {"name": "next", "type": ["null", "a.Tree"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "flag", "type": "boolean"},
        {"name": "small", "type": "int"},
        {"name": "ratio", "type": "float"},
        {"name": "blob", "type": "bytes"},
    ],
}

_leaf = {
    "label": st.sampled_from(["X", "Y"]),
    "other": st.sampled_from(["X", "Y"]),
    "id": st.binary(min_size=3, max_size=3),
    "weights": st.dictionaries(st.text(max_size=3), st.none() | st.floats(allow_nan=False) | st.text(), max_size=3),
    "at": st.integers(-(2**50), 2**50),
    "flag": st.booleans(),
    "small": st.integers(-(2**31), 2**31 - 1),
    "ratio": st.floats(width=32, allow_nan=False),
    "blob": st.binary(max_size=200),
}
trees: st.SearchStrategy[Any] = st.recursive(
    st.fixed_dictionaries({**_leaf, "children": st.just([]), "next": st.none()}),
    lambda tree: st.fixed_dictionaries({**_leaf, "children": st.lists(tree, max_size=2), "next": st.none() | tree}),
    max_leaves=5,
)
PARSED = parse(json.dumps(TREE))
TREE_SKIP = compile_skip(PARSED)


def is_one(skip: Skip, data: bytes, start: int = 0) -> bool:
    """Whether data[start:] is exactly one value, as the splicer asks."""
    try:
        return skip(data, start, len(data)) == len(data)
    except CHECK_ERRORS:
        return False


def encoded(value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PARSED, value)
    return out.getvalue()


@settings(max_examples=60, deadline=None)
@given(trees, st.binary(max_size=3))
def test_what_fastavro_writes_passes(value: Any, before: bytes) -> None:
    assert is_one(TREE_SKIP, before + encoded(value), len(before))
    assert not is_one(TREE_SKIP, encoded(value) + b"\0")
    assert TREE_SKIP(before + encoded(value) + b"more", len(before), len(before + encoded(value))) == len(
        before + encoded(value)
    )


@settings(max_examples=150, deadline=None)
@given(trees, st.data())
def test_what_passes_reads(value: Any, data: st.DataObject) -> None:
    body = bytearray(encoded(value))
    for _ in range(data.draw(st.integers(0, 2))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    case = bytes(body[: data.draw(st.integers(0, len(body)))])
    if is_one(TREE_SKIP, case):
        reader = io.BytesIO(case)
        plain = json.loads(json.dumps(TREE).replace('"timestamp-micros"', '"none"'))
        fastavro.schemaless_reader(reader, parse(json.dumps(plain)))
        assert reader.tell() == len(case)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ("null", b"", b"\0"),
        ("boolean", b"\1", b"\2"),
        ("int", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\x0f"),
        ("long", b"\x80" * 9 + b"\1", b"\x80" * 10 + b"\1"),
        ("string", b"\x04\xc3\xa9", b"\x04\xc3\x28"),
        ("string", b"\0", b"\1"),  # a length below zero
        (["null", "int"], b"\x02\x02", b"\x04\x02"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\0", b"\2"),
        ({"type": "array", "items": "int"}, b"\x03\x04\x02\x02\0", b"\x04\x02\x02"),
        ({"type": "array", "items": "null"}, b"\x02\0", b"\xfe\xff\xff\xff\x0f\0"),
        ({"type": "array", "items": "null"}, b"\x02\0", b"\xfe" + b"\xff" * 8 + b"\x01\0"),
    ],
)
def test_edges(schema: Any, good: bytes, bad: bytes) -> None:
    skip = compile_skip(parse(json.dumps(schema)))
    assert is_one(skip, good)
    assert not is_one(skip, bad)


def test_deeply_nested_schemas_compile() -> None:
    schema: Any = "int"
    for _ in range(40):
        schema = {"type": "array", "items": schema}
    skip = compile_skip(parse(json.dumps(schema)))
    assert is_one(skip, b"\x02" * 40 + b"\x08" + b"\0" * 40)
    assert not is_one(skip, b"\x02" * 40 + b"\x08" + b"\0" * 39)


@pytest.mark.parametrize("items", ["int", "null", "string", {"type": "array", "items": "int"}])
def test_what_an_array_claims_costs_no_more_than_its_record_is_long(items: Any) -> None:
    """A batch of small records that each claim as many items as the whole batch has bytes."""
    skip = compile_skip(parse(json.dumps({"type": "array", "items": items})))
    batch = (b"\xa0\x8d\x06" + b"\2" * 7) * 20_000  # each claims 50,000
    began = time.process_time()
    for start in range(0, len(batch), 10):
        with pytest.raises(CHECK_ERRORS):
            skip(batch, start, start + 10)
    assert time.process_time() - began < 2
