"""aiokafka's consumers take answers apart with the classes and codecs that are put in place of its own."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from aiokafka.record._crecords import default_records as compiled
from atlas_kafka.internals.records import (
    DefaultRecordBatchBuilder,
    KeptRecords,
    PartitionRecords,
    calc_crc32c,
    take_apart_with,
)
from atlas_kafka_format.batches import CRC_FROM, HEADER

TP = TopicPartition("t", 0)


def batch(base: int, *values: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 2**20)
    for number, value in enumerate(values):
        builder.append(number, 1, b"k", value, [])
    packed = bytearray(builder.build())
    packed[:8] = base.to_bytes(8, "big")
    return bytes(packed)


def taken_apart(kind: type[PartitionRecords], data: bytes) -> PartitionRecords:
    return kind(TP, KeptRecords(data), [], 0, None, None, True, fetcher.READ_COMMITTED)


def test_without_an_unpack_of_its_own_it_gives_what_aiokafka_gives() -> None:
    data = batch(0, b"a", b"b") + batch(2, b"c")
    records = taken_apart(PartitionRecords, data)
    assert [(record.offset, record.value) for record in records] == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert records.next_fetch_offset == 3


def test_an_unpack_of_its_own_sees_each_record_with_its_batch() -> None:
    first, second = batch(0, b"a", b"b"), batch(2, b"c")
    seen: list[tuple[int, bytes, TopicPartition]] = []

    class Watching(PartitionRecords):
        def unpack(self) -> Iterator[Any]:
            for record in self.unpack_on():
                seen.append((record.offset, self.batch(), self.partition))
                yield record

    assert len(list(taken_apart(Watching, first + second))) == 3
    assert seen == [(0, first, TP), (1, first, TP), (2, second, TP)]


def test_a_record_is_made_as_the_consumer_makes_its_own() -> None:
    records = taken_apart(PartitionRecords, batch(0, b"a"))
    raw = next(iter(KeptRecords(batch(0, b"a")).next_batch()))
    made = records.made(raw)
    assert (made.topic, made.partition, made.offset, made.value) == (*TP, 0, b"a")


@pytest.mark.parametrize("module", [default_records, compiled], ids=["python", "compiled"])
def test_the_classes_and_codecs_are_put_in_place(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, name in ((fetcher, "MemoryRecords"), (fetcher, "PartitionRecords"), (module, "zstd_decode")):
        monkeypatch.setattr(where, name, getattr(where, name))  # so that it is as before afterwards
    other = compiled if module is default_records else default_records
    monkeypatch.setattr(other, "zstd_decode", other.zstd_decode)

    def decode(data: bytes) -> bytes:
        return data

    take_apart_with(PartitionRecords, {"zstd_decode": decode})
    assert (fetcher.MemoryRecords, fetcher.PartitionRecords, module.zstd_decode) == (
        KeptRecords,
        PartitionRecords,
        decode,
    )
    with pytest.raises(AssertionError, match="brotli_decode"):
        take_apart_with(PartitionRecords, {"brotli_decode": decode})


def test_the_checksum_is_the_batches_own() -> None:
    packed = batch(0, b"a")
    assert calc_crc32c(packed[CRC_FROM:]) == HEADER.unpack_from(packed)[4]
