"""Batches taken from a fetch's bytes: the same records as aiokafka makes of them, whatever was aborted or cut off."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from atlas_kafka.fetching.rawbatches import RawBatch, RawRecords
from hypothesis import given, settings
from hypothesis import strategies as st

TP = TopicPartition("t", 0)
COMMIT, ABORT = b"\0\0\0\1", b"\0\0\0\0"


def batch(
    base: int, records: int, *, codec: int = 0, producer: int = -1, transactional: bool = False, control: bytes = b""
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, int(transactional), producer, 0, 0, 2**20)
    for number in range(records):
        key = control or b"k%d" % (base + number)
        builder.append(number, 1_700_000_000_000 + number, key, b"v" * (base + number), [("h", b"x")])
    data = bytearray(builder.build())
    data[0:8] = base.to_bytes(8, "big")
    if control:
        data[22] |= 0x20
        data[17:21] = calc_crc32c(memoryview(data)[21:]).to_bytes(4, "big")
    return bytes(data)


def with_aiokafka(data: bytes, start: int, aborted: list[tuple[int, int]]) -> tuple[list[int], int]:
    records = PartitionRecords(TP, MemoryRecords(data), aborted, start, None, None, True, READ_COMMITTED)
    return [record.offset for record in records], records.next_fetch_offset


def offsets(part: RawBatch) -> list[int]:
    # The records of these batches have no gaps, so a batch says it all.
    return list(range(part.start_offset, part.offset + 1))


_parts = st.lists(
    st.tuples(st.sampled_from(["plain", "one", "two"]), st.integers(1, 4), st.sampled_from([0, 1, 2, 3, 4])), max_size=8
)


@settings(max_examples=150, deadline=None)
@given(_parts, st.lists(st.booleans(), min_size=2, max_size=2), st.integers(0, 12), st.integers(0, 70))
def test_the_same_offsets_as_aiokafka(parts: list[Any], commits: list[bool], start: int, cut: int) -> None:
    producers = {"one": 11, "two": 12}
    data, base = b"", 0
    first: dict[str, int] = {}
    for who, count, codec in parts:
        data += batch(base, count, codec=codec, producer=producers.get(who, -1), transactional=who in producers)
        if who in producers:
            first.setdefault(who, base)
        base += count
    aborted = []
    for (who, producer), commit in zip(producers.items(), commits, strict=True):
        if who in first:
            marker = COMMIT if commit else ABORT
            data += batch(base, 1, producer=producer, transactional=True, control=marker)
            aborted += [] if commit else [(producer, first[who])]
            base += 1
    data = data[: len(data) - cut]
    start = min(start, parts[0][1] - 1) if parts else 0  # a broker's answer begins with the batch that was asked for
    raw = RawRecords(TP, data, start, list(aborted))
    found = [offset for part in raw for offset in offsets(part)]
    assert (found, raw.next_fetch_offset) == with_aiokafka(data, start, list(aborted))


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_the_bytes_of_the_records(codec: int) -> None:
    (plain,) = RawRecords(TP, batch(5, 4), 0, [])
    (packed,) = RawRecords(TP, batch(5, 4, codec=codec), 7, [])
    assert packed.data() == plain.data()
    assert (packed.base_offset, packed.start_offset, packed.offset, packed.records) == (5, 7, 8, 4)
    assert (packed.base_timestamp, packed.append_time_ms) == (1_700_000_000_000, None)


def test_the_brokers_own_time_counts_for_every_record() -> None:
    data = bytearray(batch(0, 3))
    data[22] |= 0x08
    data[17:21] = calc_crc32c(memoryview(data)[21:]).to_bytes(4, "big")
    (part,) = RawRecords(TP, bytes(data), 0, [])
    assert part.append_time_ms == 1_700_000_000_002


def test_damage_is_named() -> None:
    data = bytearray(batch(3, 2) + batch(5, 2))
    data[-1] ^= 1
    raw = RawRecords(TP, bytes(data), 3, [])
    assert next(raw).offset == 4
    with pytest.raises(CorruptRecordException, match="damaged batch at offset 5"):
        next(raw)


def test_an_unknown_compression_is_named() -> None:
    with pytest.raises(UnsupportedCodecError, match="compression 7 of the batch at offset 9"):
        RawBatch(TP, b"", 9, 9, 9, 0, None, 1, 7, b"").data()
