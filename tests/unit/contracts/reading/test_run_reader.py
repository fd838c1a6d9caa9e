"""A run is read as its values are one by one, whatever the schema and whatever the bytes."""

from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_avro.walk import without_logical_types
from atlas_contracts.reading.binary_reader import BROKEN, compile_reader
from atlas_contracts.reading.columns import VALUES_MAX
from atlas_contracts.reading.run_reader import RUN_FROM, RunReader
from fastavro import schemaless_writer
from fastavro.schema import parse_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.avro_records import record

PREFIX = b"\x00\x00\x00\x00\x07"
WARM = 500


def framed(parsed: Any, value: Any) -> bytes:
    out = BytesIO(PREFIX)
    out.seek(len(PREFIX))
    schemaless_writer(out, parsed, value)
    return out.getvalue()


def warm(parsed: Any) -> RunReader:
    """A reader that has seen enough to have compiled its expression."""
    reader = RunReader(PREFIX, parsed)
    for _ in range(WARM // RUN_FROM + 1):
        reader.read([PREFIX] * RUN_FROM)
    return reader


def alone(read: Callable[[bytes, int], Any], data: bytes) -> Any:
    try:
        return repr(read(data, len(PREFIX)))  # as text, so that a float that is not a number equals itself
    except BROKEN:
        return None


def check(parsed: Any, values: list[bytes]) -> list[Any]:
    read = compile_reader(parsed)
    found = warm(parsed).read(values)
    assert len(found) == len(values)
    for value, data in zip(found, values, strict=True):
        assert value is None or repr(value) == alone(read, data)
    return found


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_values_of_any_schema(avro: SimpleNamespace, data: st.DataObject) -> None:
    definition = without_logical_types(data.draw(avro.schemas()))
    parsed = parse_schema(definition)
    some = [framed(parsed, value) for value in data.draw(st.lists(avro.values(definition), min_size=1, max_size=8))]
    check(parsed, some * RUN_FROM)


@given(st.data(), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.binary(max_size=20)), max_size=6))
@settings(max_examples=300, deadline=None)
def test_broken_bytes_among_them(
    avro: SimpleNamespace, data: st.DataObject, breaks: list[tuple[int, int, bytes]]
) -> None:
    definition = without_logical_types(data.draw(avro.schemas()))
    parsed = parse_schema(definition)
    some = [framed(parsed, value) for value in data.draw(st.lists(avro.values(definition), min_size=1, max_size=4))]
    values = (some * 60)[:60]
    for number, at, noise in breaks:
        if number < len(values):
            start = len(PREFIX) + at
            values[number] = values[number][:start] + noise + values[number][start + len(noise) :]
    check(parsed, values)


RECORD = record(
    "t.R",
    id="string",
    n="long",
    maybe=["null", "string"],
    either=["int", "null", "string"],
    kind={"type": "enum", "name": "t.E", "symbols": ["A", "B"]},
    inner={"type": "record", "name": "t.I", "fields": [{"name": "ok", "type": "boolean"}]},
    again="t.I",
    hash={"type": "fixed", "name": "t.F", "size": 3},
    hashes=["null", "t.F"],
    kinds=["t.E", "null"],
    raw="bytes",
    x="double",
    y="float",
    nothing="null",
)


def value(number: int, **other: Any) -> dict[str, Any]:
    return {
        "id": f"id-{number}",
        "n": number * 7919**3,
        "maybe": None if number % 3 else "x" * (number % 200),
        "either": [None, number, "text"][number % 3],
        "kind": "AB"[number % 2],
        "inner": {"ok": number % 2 == 0},
        "again": {"ok": True},
        "hash": b"abc",
        "hashes": b"\xff\x80\x00" if number % 5 else None,
        "kinds": "B" if number % 5 else None,
        "raw": bytes(range(number % 256)),
        "x": number / 7,
        "y": 0.5,
        "nothing": None,
    } | other


def test_every_kind_of_value_is_taken_together() -> None:
    parsed = parse_schema(RECORD)
    values = [value(number) for number in range(600)]
    assert len(values) > 2 * VALUES_MAX
    assert check(parsed, [framed(parsed, each) for each in values]) == values


NUMBERS = [sign * ((1 << bits) - less) for bits in range(64) for less in (0, 1) for sign in (1, -1)]


@pytest.mark.parametrize("among", [[], [0], [2**62], [-(2**63)]])
def test_numbers_of_every_length(among: list[int]) -> None:
    parsed = parse_schema({"type": "record", "name": "t.N", "fields": [{"name": "n", "type": "long"}]})
    numbers = [number for number in NUMBERS if -(2**55) <= number < 2**55] + among
    values = [{"n": number} for number in numbers]
    assert check(parsed, [framed(parsed, each) for each in values]) == values


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=130), min_size=RUN_FROM, max_size=60))
@settings(max_examples=60, deadline=None)
def test_texts_of_every_length_and_alphabet(texts: list[str]) -> None:
    parsed = parse_schema({"type": "record", "name": "t.T", "fields": [{"name": "t", "type": "string"}]})
    values = [{"t": text} for text in texts]
    found = check(parsed, [framed(parsed, each) for each in values])
    if all(len(text.encode()) <= 255 for text in texts):
        assert found == values


def test_a_value_that_takes_a_part_of_the_next_is_not_taken() -> None:
    """The bytes of the run read on as if they were whole; each record's own bytes decide."""
    parsed = parse_schema({"type": "record", "name": "t.T", "fields": [{"name": "t", "type": "string"}]})
    whole, last = framed(parsed, {"t": "abcd"}), framed(parsed, {"t": "x"})
    cut = PREFIX + bytes([2 * (3 + len(last))]) + b"abc"
    found = check(parsed, [whole] * 40 + [cut, last] + [whole] * 40)
    assert found == [{"t": "abcd"}] * 40 + [None, {"t": "x"}] + [{"t": "abcd"}] * 40


def test_few_are_left_alone() -> None:
    parsed = parse_schema(RECORD)
    reader = warm(parsed)
    few = [framed(parsed, value(1))] * (RUN_FROM - 1)
    assert reader.read(few) == [None] * len(few)
    assert reader.read([]) == []


def test_nothing_is_compiled_for_the_first_runs() -> None:
    parsed = parse_schema(RECORD)
    reader = RunReader(PREFIX, parsed)
    run = [framed(parsed, value(number)) for number in range(RUN_FROM)]
    assert reader.read(run) == [None] * RUN_FROM
    for _ in range(WARM // RUN_FROM):
        reader.read(run)
    assert reader.read(run) == [value(number) for number in range(RUN_FROM)]
    assert not reader.irregular


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "array", "items": "int"},
        {"type": "map", "values": "int"},
        ["null", {"type": "record", "name": "t.In", "fields": []}],
        ["null", "t.R"],
        {"type": "enum", "name": "t.E", "symbols": [f"S{number}" for number in range(65)]},
    ],
)
def test_an_irregular_schema_is_left_alone(kind: Any) -> None:
    parsed = parse_schema({"type": "record", "name": "t.R", "fields": [{"name": "f", "type": kind}]})
    reader = warm(parsed)
    assert reader.irregular
    assert reader.read([PREFIX + b"\x00"] * 300) == [None] * 300


def test_where_there_are_many_texts_only_short_ones_are_taken() -> None:
    fields = [{"name": f"f{number}", "type": "string"} for number in range(30)]
    parsed = parse_schema({"type": "record", "name": "t.R", "fields": fields})
    short = {field["name"]: "x" * 63 for field in fields}
    long = short | {"f3": "x" * 64}
    run = [framed(parsed, short)] * 50 + [framed(parsed, long)] + [framed(parsed, short)] * 49
    assert check(parsed, run) == [short] * 50 + [None] + [short] * 49
    more = parse_schema({**parsed, "name": "t.S", "fields": [{"name": f"g{n}", "type": "string"} for n in range(63)]})
    assert warm(more).read([PREFIX + b"\x00" * 63] * 300) == [None] * 300
