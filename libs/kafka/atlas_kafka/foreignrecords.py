"""Whatever a producer can put on a topic is read: `accept_foreign_records`, before the first consumer is made.

Three things that brokers take end every consumer of aiokafka, again after each restart:

- A header's name that is not UTF-8. Bytes of it that don't decode are read as `\\x..`, in text that any database, log
  and JSON takes.
- Offsets within a batch that is not compressed: the broker gives out as many as there are records, and leaves what the
  records say of themselves. One that is beyond the next would have a consumer go on behind the end: then they are
  numbered by their place. (One that has been already is passed over, as by every client; the archive has it.)
- A batch that holds more than INFLATED_MAX_BYTES. One record stands for it: without a key, at the batch's first offset,
  its value STAND_IN and then the batch as the broker has it. So it is archived byte for byte, and elsewhere it is no
  event, which is a dead letter.

aiokafka decodes a batch itself; only one that it refuses is taken apart here. This reaches into its fetcher: what it
relies on is tested against its classes and against a broker.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records
from aiokafka.record._crecords import default_records as compiled_records
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from atlas_kafka import inflate
from atlas_kafka.metrics import BATCHES_TOO_LARGE

log = structlog.get_logger(__name__)

# No first byte of an Avro value's framing.
STAND_IN = b"a batch that is too large to be taken apart:\n"
# base offset, length, leader epoch, magic, crc, attributes, last offset delta, first and last timestamp,
# producer id, epoch and sequence, number of records
HEADER = struct.Struct(">qiibIhiqqqhii")
_PLACE = struct.Struct(">qi")
LENGTH_AT, CRC_FROM = 12, 21
CODEC_MASK, APPEND_TIME = 0x07, 0x08
_CODECS = {"gzip_decode": inflate.gzip, "snappy_decode": inflate.snappy, "lz4_decode": inflate.lz4}
_CODECS |= {"zstd_decode": inflate.zstd}


class ForeignRecord(NamedTuple):
    """What aiokafka's DefaultRecord has."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


def accept_foreign_records() -> None:
    """From now on every consumer made in this process reads on where aiokafka's own would end. May be called again."""
    fetcher.MemoryRecords = _KeptRecords
    fetcher.PartitionRecords = _ForeignRecords
    for name, decode in _CODECS.items():
        for module in (default_records, compiled_records):
            assert hasattr(module, name), name
            setattr(module, name, decode)


def stand_in(partition: TopicPartition, batch: bytes) -> ForeignRecord:
    """The record that stands for a batch which is too large; it is counted and logged."""
    fields = HEADER.unpack_from(batch)
    BATCHES_TOO_LARGE.labels(partition.topic).inc()
    log.error(
        "a batch is too large to be taken apart: it is kept whole",
        topic=partition.topic,
        partition=partition.partition,
        first_offset=fields[0],
        last_offset=fields[0] + fields[6],
        records=fields[12],
        bytes=len(batch),
    )
    appended = bool(fields[5] & APPEND_TIME)
    return ForeignRecord(fields[0], fields[8 if appended else 7], int(appended), None, STAND_IN + batch, [])


class _KeptRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of an answer, and its bytes, for those that have to be looked at closely."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data
        self._at = 0
        self._current: Any = None

    def next_batch(self) -> Any:
        self._current = super().next_batch()
        return self._current

    def current(self) -> bytes:
        """The batch that was given last."""
        while True:
            base, length = _PLACE.unpack_from(self._data, self._at)
            end = self._at + LENGTH_AT + length
            if base == self._current.base_offset:
                return self._data[self._at : end]
            self._at = end


class _ForeignRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of an answer: aiokafka's, and of the batches that it refuses ours."""

    def __iter__(self) -> Iterator[Any]:
        """What aiokafka's `__next__` asks, without its call for each record: looking at it takes one already."""
        return self._records_iterator or iter(())

    def _unpack_records(self) -> Iterator[Any]:
        expected: int = self.next_fetch_offset  # type: ignore[has-type]
        while True:
            try:
                # Begun anew it goes on with the batch after the one that it refused.
                for made in super()._unpack_records():
                    if made.offset != expected:
                        self._check_number(made.offset, expected)
                    expected = made.offset + 1
                    yield made
            except (UnicodeDecodeError, inflate.TooLarge, CorruptRecordException) as error:
                self.next_fetch_offset = expected
                batch = self._records.current()
                for record in self._odd(batch, error):
                    if record.offset >= expected:
                        self.next_fetch_offset = record.offset + 1
                        yield self._consumer_record(self._tp, record)
                fields = HEADER.unpack_from(batch)
                self.next_fetch_offset = expected = fields[0] + fields[6] + 1
            else:
                return

    def _check_number(self, offset: int, expected: int) -> None:
        """Raises CorruptRecordException where this can't be the offset of the next record of the current batch."""
        fields = HEADER.unpack_from(self._records.current())
        base, last, count = fields[0], fields[6], fields[12]
        whole = count == last + 1  # without gaps, as all are that were not compacted
        if offset > base + last or (whole and offset != max(base, expected)):
            raise CorruptRecordException(f"offset {offset} in the batch at offset {base}")

    def _odd(self, batch: bytes, error: Exception) -> Iterator[ForeignRecord]:
        """The batch's records. Raises the error when it is a damaged one."""
        if calc_crc32c(batch[CRC_FROM:]) != HEADER.unpack_from(batch)[4]:
            raise error
        if not isinstance(error, inflate.TooLarge):
            yield from _records(batch)
        else:  # known from one attempt, which holds the event loop for as long as 64 MB take
            record = stand_in(self._tp, batch)
            yield record._replace(offset=max(record.offset, self.next_fetch_offset))


def _records(batch: bytes) -> Iterator[ForeignRecord]:
    """Raises TooLarge before the first, or CorruptRecordException."""
    fields = HEADER.unpack_from(batch)
    base, attributes, last, first_timestamp, max_timestamp = fields[0], *fields[5:9]
    count = fields[12]
    appended = bool(attributes & APPEND_TIME)
    data = inflate.CODECS[attributes & CODEC_MASK](batch[HEADER.size :])
    at, before = 0, -1
    for place in range(count):
        try:
            stamp, step, key, value, headers, at = _record(data, at)
        except (ValueError, IndexError) as error:
            raise CorruptRecordException(f"no record at byte {at} of the batch at offset {base}: {error}") from None
        timestamp = max_timestamp if appended else first_timestamp + stamp
        if not before < step <= last - (count - 1 - place):
            step = before + 1
        before = step
        yield ForeignRecord(base + step, timestamp, int(appended), key, value, headers)


_Parts = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]], int]


def _record(data: bytes, at: int) -> _Parts:
    """Timestamp and offset delta, key, value and headers of the record at `at`, and the place after it."""
    size, at = _varint(data, at)
    end = at + size
    if size < 0 or end > len(data):
        raise ValueError("a length past the end")
    stamp, at = _varint(data, at + 1)  # after the attributes, which mean nothing yet
    step, at = _varint(data, at)
    key, at = _sized(data, at, end)
    value, at = _sized(data, at, end)
    count, at = _varint(data, at)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _sized(data, at, end)
        content, at = _sized(data, at, end)
        headers.append(((name or b"").decode(errors="backslashreplace"), content))
    if at != end:
        raise ValueError("a record of another length than it says")
    return stamp, step, key, value, headers, end


def _sized(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = _varint(data, at)
    if size < 0:
        return None, at
    if at + size > end:
        raise ValueError("a length past the end")
    return bytes(data[at : at + size]), at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The zigzag number at `at`, and the place after it. Raises IndexError, or ValueError past 10 bytes."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number longer than 10 bytes")
