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

aiokafka decodes a batch itself; only one that it refuses is taken apart here.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException
from atlas_avro.varints import read_long
from atlas_kafka_format.batches import APPEND_TIME, CODEC_MASK, CRC_FROM, HEADER

from atlas_kafka.fetching import inflate
from atlas_kafka.internals.fetching import READ_COMMITTED, READ_UNCOMMITTED
from atlas_kafka.internals.records import KeptRecords, PartitionRecords, calc_crc32c, take_apart_with
from atlas_kafka.metrics import BATCHES_TOO_LARGE

log = structlog.get_logger(__name__)

# No first byte of an Avro value's framing.
STAND_IN = b"a batch that is too large to be taken apart:\n"
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
    take_apart_with(_ForeignRecords, _CODECS)


def records_in(
    place: TopicPartition, batches: bytes, offset: int, aborted: Collection[tuple[int, int]] | None
) -> PartitionRecords:
    """The records of an answer from `offset` on; those of transactions that were `aborted` (producer and first offset)
    are left out, unless that is None. `next_fetch_offset` says how far they go. Raises CorruptRecordException.
    """
    isolation = READ_UNCOMMITTED if aborted is None else READ_COMMITTED
    return _ForeignRecords(place, KeptRecords(batches), aborted or (), offset, None, None, False, isolation)


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


class _ForeignRecords(PartitionRecords):
    """The records of an answer: aiokafka's, and of the batches that it refuses ours."""

    def unpack(self) -> Iterator[Any]:
        expected = self.next_fetch_offset
        while True:
            try:
                # Begun anew it goes on with the batch after the one that it refused.
                for made in self.unpack_on():
                    if made.offset != expected:
                        self._check_number(made.offset, expected)
                    expected = made.offset + 1
                    yield made
            except (UnicodeDecodeError, inflate.TooLarge, CorruptRecordException) as error:
                self.next_fetch_offset = expected
                batch = self.batch()
                for record in self._odd(batch, error):
                    if record.offset >= expected:
                        self.next_fetch_offset = record.offset + 1
                        yield self.made(record)
                fields = HEADER.unpack_from(batch)
                self.next_fetch_offset = expected = fields[0] + fields[6] + 1
            else:
                return

    def _check_number(self, offset: int, expected: int) -> None:
        """Raises CorruptRecordException where this can't be the offset of the next record of the current batch."""
        fields = HEADER.unpack_from(self.batch())
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
            record = stand_in(self.partition, batch)
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
    size, at = read_long(data, at)
    end = at + size
    if size < 0 or end > len(data):
        raise ValueError("a length past the end")
    stamp, at = read_long(data, at + 1)  # after the attributes, which mean nothing yet
    step, at = read_long(data, at)
    key, at = _sized(data, at, end)
    value, at = _sized(data, at, end)
    count, at = read_long(data, at)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _sized(data, at, end)
        content, at = _sized(data, at, end)
        headers.append(((name or b"").decode(errors="backslashreplace"), content))
    if at != end:
        raise ValueError("a record of another length than it says")
    return stamp, step, key, value, headers, end


def _sized(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = read_long(data, at)
    if size < 0:
        return None, at
    if at + size > end:
        raise ValueError("a length past the end")
    return bytes(data[at : at + size]), at + size
