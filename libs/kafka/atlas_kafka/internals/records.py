"""What aiokafka takes record batches apart and lays them together with."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.codec import lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from aiokafka.record._crecords import default_records as compiled_records
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from atlas_kafka_format.batches import LENGTH_AT, PLACE

__all__ = [
    "DefaultRecordBatchBuilder", "KeptRecords", "PartitionRecords", "calc_crc32c", "lz4_decode",
    "snappy_decode", "take_apart_with", "zstd_decode",
]  # fmt: skip
# calc_crc32c, DefaultRecordBatchBuilder: its compiled ones. A producer's `create_batch` gives a builder
# too, but one that belongs to that producer, which ours is not.
# lz4_decode, snappy_decode, zstd_decode: what it decompresses batches with, so that ours are read in the same way.


class KeptRecords(MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """The batches of an answer, and its bytes, for those that have to be looked at closely."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data
        self._at = 0
        self._current: Any = None

    def next_batch(self) -> Any:
        """As aiokafka's."""
        self._current = super().next_batch()
        return self._current

    def current(self) -> bytes:
        """The batch that was given last, as the broker has it."""
        while True:
            base, length = PLACE.unpack_from(self._data, self._at)
            end = self._at + LENGTH_AT + length
            if base == self._current.base_offset:
                return self._data[self._at : end]
            self._at = end


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of an answer for a partition; `unpack` may be overridden to look at each, or to make others."""

    next_fetch_offset: int

    def __iter__(self) -> Iterator[Any]:
        """What aiokafka's `__next__` asks, without its call for each record: looking at it takes one already."""
        return self._records_iterator or iter(())

    def _unpack_records(self) -> Iterator[Any]:
        return self.unpack()

    def unpack(self) -> Iterator[Any]:
        """The records, one after the other."""
        return self.unpack_on()

    def unpack_on(self) -> Iterator[Any]:
        """aiokafka's own records, from the first batch on, or from the one after that which raised an error."""
        return super()._unpack_records()  # type: ignore[no-any-return]

    def batch(self) -> bytes:
        """The batch that is being taken apart, as the broker has it."""
        kept: KeptRecords = self._records
        return kept.current()

    def made(self, record: Any) -> Any:
        """What the consumer gives for a record (of DefaultRecord's attributes)."""
        return self._consumer_record(self._tp, record)

    @property
    def partition(self) -> TopicPartition:
        """The partition."""
        return self._tp


def take_apart_with(records: type[PartitionRecords], codecs: Mapping[str, Callable[[bytes], bytes]]) -> None:
    """From now on every consumer made in this process takes answers apart with these. May be called again.

    `codecs` by aiokafka's name, as `zstd_decode`. aiokafka's consumer takes no class for either.
    """
    fetcher.MemoryRecords = KeptRecords
    fetcher.PartitionRecords = records
    for name, decode in codecs.items():
        for module in (default_records, compiled_records):
            assert hasattr(module, name), name
            setattr(module, name, decode)
