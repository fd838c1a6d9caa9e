"""What brokers take and aiokafka does not: read by every consumer, and by those that take batches as they are."""

from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from atlas_archive.format.container import read_file
from atlas_archive.writing.batches import unpack
from atlas_archive.writing.splicer import Splicer
from atlas_kafka.fetching import inflate
from atlas_kafka.fetching.foreignrecords import STAND_IN, accept_foreign_records
from atlas_kafka.fetching.lightrecords import LightRecord, _light
from atlas_kafka.fetching.rawbatches import RawRecords
from atlas_kafka.internals.records import KeptRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.foreign import Foreign, batch, batch_of, gzip, packed

TP = TopicPartition("t", 0)


@pytest.fixture(autouse=True)
def _accepted() -> None:
    accept_foreign_records()


def at_offset(data: bytes, base: int) -> bytes:
    return base.to_bytes(8, "big") + data[8:]


def read(*batches: bytes, start: int = 0, light: bool = False) -> tuple[list[Any], int]:
    data = b"".join(batches)
    made = fetcher.PartitionRecords(
        TP, fetcher.MemoryRecords(data), [], start, None, None, True, fetcher.READ_COMMITTED
    )
    if light:
        made._consumer_record = _light
    return list(made), made.next_fetch_offset


def archived(*batches: bytes, start: int = 0) -> list[Any]:
    return [record for part in RawRecords(TP, b"".join(batches), start, []) for record in unpack(part)]


_names = st.binary(max_size=4)
_records = st.builds(
    Foreign,
    st.none() | st.binary(max_size=3),
    st.none() | st.binary(max_size=3),
    st.lists(st.tuples(_names, st.none() | st.binary(max_size=3)), max_size=3),
    st.integers(-5, 5),
    st.none(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_records, min_size=1, max_size=5), min_size=1, max_size=5), st.booleans(), st.integers(0, 8))
def test_any_names_of_headers(batches: list[list[Foreign]], compressed: bool, start: int) -> None:
    parts, base, expected = [], 0, []
    for some in batches:
        parts.append(at_offset(batch_of(some, 1, gzip) if compressed else batch_of(some), base))
        expected += [(base + place, record) for place, record in enumerate(some)]
        base += len(some)
    start = min(start, len(batches[0]) - 1)
    found, after = read(*parts, start=start, light=True)
    assert after == base
    assert all(isinstance(record, LightRecord) for record in found)
    exact = archived(*parts, start=start)
    for errors, records in (("backslashreplace", found), ("surrogateescape", exact)):
        assert [(r.offset, r.timestamp, r.key, tuple(r.headers), r.value) for r in records] == [
            (
                offset,
                1_700_000_000_000 + record.stamp,
                record.key,
                tuple((name.decode(errors=errors), value) for name, value in record.headers),
                record.value,
            )
            for offset, record in expected
            if offset >= start
        ]


@pytest.mark.parametrize("steps", [(0, 5, 1), (2**30, 0, 1), (0, 5, 6), (3, 4, 5), (1, 2, 3)])
def test_odd_offsets_are_those_of_their_places(steps: tuple[int, ...]) -> None:
    odd = batch_of([Foreign(value=b"%d" % place, step=step) for place, step in enumerate(steps)])
    batches = [batch_of([Foreign()] * 2), at_offset(odd, 2), at_offset(batch_of([Foreign()] * 2), 5)]
    found, after = read(*batches)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4, 5, 6]
    assert [record.value for record in found][2:5] == [b"0", b"1", b"2"]
    assert after == 7
    exact = archived(*batches)
    assert [record.offset for record in exact] == [0, 1, 2, 3, 4, 5, 6]
    splicer = Splicer(lambda _: None)
    splicer.add(list(RawRecords(TP, b"".join(batches), 0, [])))
    (file,) = splicer.finish()
    assert [record for block in read_file(b"".join(file.chunks), "x").blocks() for record in block] == exact


def test_of_offsets_below_the_last_nothing_reads_but_the_archive() -> None:
    """As of all of Kafka's clients: a record that claims an offset which has been is one of them."""
    odd = batch_of([Foreign(value=b"%d" % place, step=step) for place, step in enumerate((-1, 0, 0))])
    found, after = read(odd, at_offset(batch_of([Foreign()]), 3))
    assert ([record.value for record in found], after) == ([b"1", b"v"], 4)
    assert [(r.offset, r.value) for r in archived(odd)] == [(0, b"0"), (1, b"1"), (2, b"2")]


@pytest.mark.parametrize("size", [200, 70])
def test_one_record_stands_for_a_batch_that_is_too_large(size: int) -> None:
    records = b"".join(packed(Foreign(value=bytes(1_000_000)), place) for place in range(size))
    bomb = at_offset(batch(bytes(cramjam.zstd.compress(records)), size, codec=4), 1)
    batches = [batch_of([Foreign()]), bomb, at_offset(batch_of([Foreign()]), 1 + size)]
    found, after = read(*batches)
    assert [record.offset for record in found] == [0, 1, 1 + size]
    assert (found[1].key, found[1].value, found[1].headers) == (None, STAND_IN + bomb, ())
    assert after == 2 + size
    exact = archived(*batches)
    assert [(r.offset, r.timestamp, r.value) for r in exact] == [(r.offset, r.timestamp, r.value) for r in found]


def test_a_batch_that_is_too_large_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt holds the event loop for as long as 64 MB take, and is made again with each fetch."""
    tried: list[int] = []
    into_bound = inflate._into_bound

    def counted(*arguments: Any) -> bytes:
        tried.append(1)
        return into_bound(*arguments)

    monkeypatch.setattr(inflate, "_into_bound", counted)
    data = packed(Foreign(value=bytes(inflate.INFLATED_MAX_BYTES)), 0)
    found, _after = read(batch(bytes(cramjam.zstd.compress(data)), 1, codec=4))
    assert [record.value[: len(STAND_IN)] for record in found] == [STAND_IN]
    assert len(tried) == 1


def one(body: bytes) -> bytes:
    from atlas_avro.varints import long

    return batch(long(len(body)) + body, 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\0\0\0" + b"\3" + b"\2v" + b"\0", (None, b"v", ())),  # a length of -2
        (b"\0\0\0" + b"\x81\0" + b"\x81\x80\0" + b"\x80\0", (None, None, ())),  # numbers longer than need be
        (b"\0\0\0" + b"\1" + b"\2v" + b"\2\2h\5", (None, b"v", (("h", None),))),
        (b"\xff\0\0" + b"\1" + b"\2v" + b"\0", (None, b"v", ())),  # attributes that are no varint
    ],
)
def test_odd_encodings(body: bytes, expected: tuple[Any, ...]) -> None:
    found, _ = read(one(body))
    assert [(record.key, record.value, tuple(record.headers)) for record in found] == [expected]
    assert [(record.key, record.value, record.headers) for record in archived(one(body))] == [expected]


def test_a_damaged_batch_stays_an_error() -> None:
    good = batch_of([Foreign(headers=[(b"\xe9", b"")])])
    with pytest.raises(CorruptRecordException):
        read(good[:-1] + b"\1")


def test_consumers_take_answers_apart_with_it() -> None:
    assert fetcher.PartitionRecords.__name__ == "_ForeignRecords"
    assert fetcher.MemoryRecords is KeptRecords
