"""Record batches (message format 2) laid together from bytes the rows already hold.

aiokafka's own builder takes headers as Python objects and encodes them one by one, which costs more than everything
else the relay does to a row. Here a record is its length, four small numbers, and the row's key, value and header
section as they are.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from aiokafka import TopicPartition
from aiokafka.record.util import calc_crc32c
from atlas_outbox.batches import Row
from atlas_outbox.headers import NO_HEADERS, varint

_HEADER = struct.Struct(">qiibIhiqqqhii")
_BEFORE_CRC = struct.Struct(">qiib")
_AFTER_CRC = struct.Struct(">hiqqqhii")
_COUNTED_FROM = 12  # the length field counts what follows it
_TRANSACTIONAL = 0x10
_MAGIC = 2
# Attributes and the difference to the batch's timestamp: every record of a batch is stamped with the same moment.
_PLAIN = b"\x00\x00"
_NULL = b"\x01"
RECORD_OVERHEAD_BYTES = 16


class SplicedBatch:
    """A record batch for one partition; to aiokafka's accumulator it is a BatchBuilder that is closed already."""

    __slots__ = ("_built", "_parts", "_state", "_timestamp_ms", "_transactional", "bytes", "ids")

    def __init__(self, timestamp_ms: int, *, transactional: bool) -> None:
        self.ids: list[int] = []
        self.bytes = _HEADER.size
        self._parts: list[bytes] = []
        self._timestamp_ms = timestamp_ms
        self._transactional = transactional
        self._state = (-1, -1, -1)
        self._built: bytes | None = None

    def add(self, row_id: int, key: bytes, value: bytes | None, headers: bytes) -> None:
        """Append a record; `headers` is a packed header section."""
        small = _varints()
        place, key_length = len(self.ids), len(key)
        offset = small[place] if place < len(small) else varint(place)
        key_size = small[key_length] if key_length < len(small) else varint(key_length)
        if value is None:
            value_size, value = _NULL, b""
        else:
            value_length = len(value)
            value_size = small[value_length] if value_length < len(small) else varint(value_length)
        body = 2 + len(offset) + len(key_size) + key_length + len(value_size) + len(value) + len(headers)
        size = small[body] if body < len(small) else varint(body)
        self._parts += (size, _PLAIN, offset, key_size, key, value_size, value, headers)
        self.bytes += len(size) + body
        self.ids.append(row_id)

    def record_count(self) -> int:
        """Records in the batch."""
        return len(self.ids)

    def size(self) -> int:
        """Bytes on the wire."""
        return self.bytes

    def closed(self) -> bool:
        """Always: nothing may be added by others."""
        return True

    def close(self) -> None:
        """Nothing to do."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._state = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        if self._built is None:
            count = len(self.ids)
            times = (self._timestamp_ms, self._timestamp_ms)
            attributes = _TRANSACTIONAL if self._transactional else 0
            checked = b"".join((_AFTER_CRC.pack(attributes, count - 1, *times, *self._state, count), *self._parts))
            head = _BEFORE_CRC.pack(0, self.bytes - _COUNTED_FROM, -1, _MAGIC)
            self._built = b"".join((head, calc_crc32c(checked).to_bytes(4, "big"), checked))
            self._parts.clear()
        return self._built


@cache
def _varints() -> tuple[bytes, ...]:
    return tuple(varint(number) for number in range(1 << 14))


def mark_batch(group: int, token: bytes, timestamp_ms: int) -> SplicedBatch:
    """The progress mark of one group."""
    batch = SplicedBatch(timestamp_ms, transactional=True)
    batch.add(0, str(group).encode(), token, NO_HEADERS)
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
    packed: dict[TopicPartition, list[SplicedBatch]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for _group, row_id, key_hash, topic, key, value, headers in rows:
        if topic not in counts:
            counts[topic] = partitions(topic), wire_bytes(topic)
        count, limit = counts[topic]
        target = (topic, key_hash % count)
        batches = packed.get(target)  # equal to, and quicker than, a TopicPartition
        if batches is None:
            batches = packed[TopicPartition(*target)] = [new_batch()]
        batch = batches[-1]
        size = len(key) + len(value or b"") + len(headers) + RECORD_OVERHEAD_BYTES
        if batch.ids and (batch.bytes + size > limit or len(batch.ids) >= wire_rows):
            batch = new_batch()
            batches.append(batch)
        batch.add(row_id, key, value, headers)
    return packed


def ids_of(batches: Sequence[SplicedBatch]) -> list[int]:
    """The row ids of several batches."""
    return [row_id for batch in batches for row_id in batch.ids]
