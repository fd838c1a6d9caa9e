"""Record batches (message format 2) laid together from bytes the rows already hold.

aiokafka's own builder takes headers as Python objects and encodes them one by one, which costs more than everything
else the relay does to a row. Here a record is its length, four small numbers, and the row's key, value and header
section as they are.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from aiokafka import TopicPartition
from atlas_avro.varints import long
from atlas_kafka.internals.records import calc_crc32c
from atlas_kafka_format.batches import AFTER_CRC, BEFORE_CRC, HEADER, LENGTH_AT, MAGIC, TRANSACTIONAL
from atlas_kafka_format.headers import NO_HEADERS
from atlas_outbox.relaying.sent import Row

# Attributes and the difference to the batch's timestamp: every record of a batch is stamped with the same moment.
_PLAIN = b"\x00\x00"
_NULL = b"\x01"
_SIZE_BYTES_MAX = 5  # a varint of 32 bits


class SplicedBatch:
    """A record batch for one partition."""

    __slots__ = ("_built", "_parts", "_state", "_timestamp_ms", "_transactional", "bytes", "ids")

    def __init__(self, timestamp_ms: int, *, transactional: bool) -> None:
        self.ids: list[int] = []
        self.bytes = HEADER.size
        self._parts: list[bytes] = []
        self._timestamp_ms = timestamp_ms
        self._transactional = transactional
        self._state = (-1, -1, -1)
        self._built: bytes | None = None

    def fill(self, rows: Sequence[Row], first: int, limit_bytes: int, limit_rows: int) -> int:
        """Append rows from number `first` on until the batch is full; at least one while it is empty.

        The number of the next row. One loop that calls nothing, because it runs for every row.
        """
        small, starts, parts, ids = _varints(), _starts(), self._parts, self.ids
        many, place, total = len(small), len(ids), self.bytes
        begun = place
        for number in range(first, len(rows)):
            _group, row_id, _hash, _topic, key, value, headers = rows[number]
            key_length = len(key)
            key_size = small[key_length] if key_length < many else long(key_length)
            if value is None:
                value, value_length, value_size = b"", 0, _NULL
            else:
                value_length = len(value)
                value_size = small[value_length] if value_length < many else long(value_length)
            start = starts[place] if place < many else _PLAIN + long(place)
            body = len(start) + len(key_size) + key_length + len(value_size) + value_length + len(headers)
            if place and (total + body + _SIZE_BYTES_MAX > limit_bytes or place >= limit_rows):
                break
            size = small[body] if body < many else long(body)
            parts += (size, start, key_size, key, value_size, value, headers)
            total += len(size) + body
            ids.append(row_id)
            place += 1
        self.bytes = total
        return first + place - begun

    def record_count(self) -> int:
        """Records in the batch."""
        return len(self.ids)

    def size(self) -> int:
        """Bytes on the wire."""
        return self.bytes

    @property
    def record_bytes(self) -> int:
        """Bytes of its records: at least that many as their keys, values and headers have."""
        return self.bytes - HEADER.size

    def stamp(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._state = (producer_id, producer_epoch, base_sequence)

    def build(self) -> bytes:
        if self._built is None:
            count = len(self.ids)
            times = (self._timestamp_ms, self._timestamp_ms)
            attributes = TRANSACTIONAL if self._transactional else 0
            checked = b"".join((AFTER_CRC.pack(attributes, count - 1, *times, *self._state, count), *self._parts))
            head = BEFORE_CRC.pack(0, self.bytes - LENGTH_AT, -1, MAGIC)
            self._built = b"".join((head, calc_crc32c(checked).to_bytes(4, "big"), checked))
            self._parts.clear()
        return self._built


@cache
def _varints() -> tuple[bytes, ...]:
    return tuple(long(number) for number in range(1 << 14))


@cache
def _starts() -> tuple[bytes, ...]:
    return tuple(_PLAIN + offset for offset in _varints())


def lone_batch(key: bytes, value: bytes | None, *, transactional: bool) -> SplicedBatch:
    """A batch of one record, without headers, stamped with now."""
    batch = SplicedBatch(time.time_ns() // 1_000_000, transactional=transactional)
    batch.fill([(0, 0, 0, "", key, value, NO_HEADERS)], 0, sys.maxsize, 1)
    return batch


def pack(
    rows: Iterable[Row],
    partitions: Callable[[str], int],
    *,
    wire_bytes: Callable[[str], int],
    wire_rows: int,
    new_batch: Callable[[], SplicedBatch],
) -> dict[TopicPartition, list[SplicedBatch]]:
    """Lay the rows into batches a partition, in their order, none above `wire_bytes` of its topic unless it is one row.

    The partition is the row's key hash modulo the number of partitions: what every client with Java's default does.
    """
    shares: dict[str, tuple[int, dict[int, list[Row]]]] = {}
    for row in rows:
        topic = row[3]
        try:
            count, targets = shares[topic]
        except KeyError:
            count, targets = shares[topic] = partitions(topic), defaultdict(list)
        targets[row[2] % count].append(row)
    return {
        TopicPartition(topic, partition): _batches(share, wire_bytes(topic), wire_rows, new_batch)
        for topic, (_count, targets) in shares.items()
        for partition, share in targets.items()
    }


def _batches(
    rows: Sequence[Row], limit_bytes: int, limit_rows: int, new_batch: Callable[[], SplicedBatch]
) -> list[SplicedBatch]:
    batches, place = [], 0
    while place < len(rows):
        batch = new_batch()
        place = batch.fill(rows, place, limit_bytes, limit_rows)
        batches.append(batch)
    return batches


def ids_of(batches: Sequence[SplicedBatch]) -> list[int]:
    """The row ids of several batches."""
    return [row_id for batch in batches for row_id in batch.ids]
