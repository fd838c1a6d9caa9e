"""Records taken in runs: the same bytes as one by one, whatever lies between them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from atlas_archive.format.container import read_file
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import Packed, pack, places
from atlas_archive.writing.patterns import LONGEST, RecordPattern, record_pattern
from atlas_archive.writing.runs import Run, take
from atlas_archive.writing.splicer import Splicer
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.archive.format.test_container import encode

pytestmark = pytest.mark.usefixtures("early_runs")

SCHEMAS: dict[int, Any] = {
    1: {"type": "record", "name": "One", "fields": [{"name": "a", "type": "string"}, {"name": "b", "type": "long"}]},
    2: {"type": "record", "name": "Two", "fields": [{"name": "c", "type": ["null", "int"]}]},
    3: {"type": "array", "items": "string"},
}
TEXTS = {schema_id: json.dumps(schema) for schema_id, schema in SCHEMAS.items()}


def known() -> RecordPattern:
    found = record_pattern(tuple(TEXTS.items()), (("h",),), LONGEST[0])
    assert found is not None
    return found


KNOWN = known()


def one(text: str, number: int = 5) -> bytes:
    return framing(1) + encode(SCHEMAS[1], {"a": text, "b": number})


def taken(records: Sequence[Record], most: int = 10**6) -> list[Run] | None:
    batch = pack(records)
    found = take(KNOWN, batch, batch.data(), 0, most, 0)
    return None if found is None else list(found.runs)


_values = st.one_of(
    st.builds(one, st.text(max_size=90), st.integers(-(2**63), 2**63 - 1)),
    st.builds(one, st.sampled_from(["", "a", "é" * 40, "x" * 64, "x" * 300, "x" * 3000])),
    st.builds(lambda c: framing(2) + encode(SCHEMAS[2], {"c": c}), st.none() | st.integers(0, 2**20)),
    st.builds(lambda c: framing(3) + encode(SCHEMAS[3], c), st.lists(st.text(max_size=3), max_size=3)),
    st.none(),
    st.binary(max_size=6).map(lambda body: framing(1) + body),
    st.binary(max_size=6),
)
_records = st.builds(
    Record,
    st.just(0),
    st.integers(1_700_000_000_000, 1_700_000_100_000) | st.integers(-1, 2**45),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(st.sampled_from(["h", "g"]), st.none() | st.binary(max_size=5)), max_size=2).map(tuple),
    _values,
)


def as_batch(records: Sequence[Record], append_time: int | None) -> Any:
    return Stamped(**{name: getattr(pack(records), name) for name in Packed.__slots__}, append_time_ms=append_time)


@dataclass(frozen=True)
class Stamped:
    base_offset: int
    offset: int
    base_timestamp: int
    records: int
    packed: bytes
    append_time_ms: int | None
    start_offset: int = -1

    def data(self) -> bytes:
        return self.packed

    @property
    def at_most(self) -> int:
        return len(self.packed)

    def opened(self) -> "Stamped":
        return self


def spliced(batches: Sequence[Any], *, runs: bool) -> tuple[Any, ...]:
    """Everything that comes out, but for where blocks end."""
    splicer = Splicer(TEXTS.get, codec="null", block_bytes=100_000)
    if not runs:
        splicer._expected.add = lambda _id, _text: None  # type: ignore[method-assign]
    splicer.add(batches)
    files = splicer.finish()
    data = [b"".join(packed for _, packed in read_file(b"".join(f.chunks), "x").packed_blocks()) for f in files]
    ends = [(f.schema_id, f.records, f.first_offset, f.last_offset) for f in files]
    return data, ends, splicer.first_timestamp, splicer.min_timestamp, splicer.max_timestamp


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(_records, min_size=1, max_size=8), min_size=1, max_size=4),
    st.sampled_from([0, 8_191, 16_380, 2**40]),
    st.sampled_from([1, 1, 3000]),
    st.none() | st.integers(0, 2**42),
)
def test_the_same_bytes_as_one_by_one(
    parts: list[list[Record]], offset: int, step: int, append_time: int | None
) -> None:
    batches = []
    for part in parts:
        records = [record._replace(offset=offset + n * step) for n, record in enumerate(part)]
        batches.append(as_batch(records, append_time))
        offset = records[-1].offset + 1
    assert spliced(batches, runs=True) == spliced(batches, runs=False)


def test_records_alike_are_taken_together() -> None:
    records = [Record(20_000 + n, 1000 + n, b"k", (), one(str(n))) for n in range(100)]
    runs = taken(records)
    assert runs is not None
    assert [replace(run, packed=b"") for run in runs] == [Run(1, b"", 100, 20_000, 20_099, 1000, 1099)]


def test_no_more_is_taken_than_asked_for() -> None:
    records = [Record(n, 0, b"k", (), one("x" * 40)) for n in range(100)]
    batch = pack(records)
    at = count = 0
    while count < 100:
        found = take(KNOWN, batch, batch.data(), at, 500, count)
        assert found is not None
        assert 1 < found.records < 10
        count, at = count + found.records, found.end
    assert at == len(batch.data())
    assert take(KNOWN, batch, batch.data(), 0, 20, 0) is None


def test_text_that_is_none_is_not_taken() -> None:
    assert taken([Record(0, 0, None, (), framing(1) + b"\4\xc3\xa9\2")]) is not None
    assert taken([Record(0, 0, None, (), framing(1) + b"\4\xc3\x28\2")]) is None
    # both halves of one letter, in two texts
    halves = [framing(1) + b"\2\xc3\2", framing(1) + b"\2\xa9\2"]
    assert taken([Record(n, 0, None, (), value) for n, value in enumerate(halves)]) is None
    long = framing(1) + b"\x80\1" + b"x" * 63
    assert taken([Record(0, 0, None, (), long + b"x\2")]) is not None
    assert taken([Record(0, 0, None, (), long + b"\xff\2")]) is None


@pytest.mark.parametrize("part", ["record", "value"])
def test_a_length_that_lies_is_not_taken(part: str) -> None:
    data = bytearray(pack([Record(0, 0, b"k", (), one("ab"))]).data())
    ((_, _, _, size_at, *_),) = places(bytes(data), 1)
    data[0 if part == "record" else size_at] += 2
    lying = Packed(0, 0, 0, 1, bytes(data))
    assert take(KNOWN, lying, lying.data(), 0, 1000, 0) is None
