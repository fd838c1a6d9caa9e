"""What the archive takes in: batches of records, laid out as Kafka stores them (record format 2).

A record is, after its own length: attributes (a byte), timestamp delta, offset delta, key, value, headers; each number
a zigzag varint as in Avro, each of key, value, header name and header value a length and bytes, with -1 for null. So a
key, a value and, where none of them is null, the headers are Avro already, and go into a file as slices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from atlas_avro.varints import long, read_long, read_unsigned

from atlas_archive.format.headers import EXACT, sized, walk
from atlas_archive.format.records import Incoming, Record

NULL = 1  # the zigzag varint of -1, the length of what is null
_NULL = long(-1)


class Batch(Protocol):
    """Records of one partition, in offset order; atlas_kafka's RawBatch and Packed both fit.

    Only those of `start_offset` ≤ offset ≤ `offset` count. `append_time_ms`: the timestamp of every record, where the
    broker set it; else each has `base_timestamp` and its delta.
    """

    @property
    def base_offset(self) -> int: ...
    @property
    def start_offset(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def base_timestamp(self) -> int: ...
    @property
    def append_time_ms(self) -> int | None: ...
    @property
    def records(self) -> int: ...
    @property
    def at_most(self) -> int:
        """How many bytes the records take at most, when they are not compressed."""

    def data(self) -> bytes:
        """The records, not compressed."""

    def opened(self) -> "Batch":
        """The batch with its records at hand. One that holds more than can be held is one record, which has all of it
        as it came.
        """


def places(data: bytes, count: int, at: int = 0) -> Iterator[tuple[int, int, int, int, int, int, int]]:
    """Where the parts of `count` records are, the first of which begins at `at`.

    Of each: (timestamp delta, offset delta, key, value, its bytes, headers, end). The deltas are zigzagged still. `key`
    and `value` point at a length (NULL: there is none), which is followed by the bytes; `headers` at their number.
    Raises IndexError, or ValueError for a record that is not as long as it says, or in which what is null has another
    length than NULL: Kafka takes any negative one, in as many bytes as it likes (see `records_of`).
    """
    for _ in range(count):
        # A number of two bytes, as most of these are, is read in place: a call for each takes a fifth of all the time.
        size, at = data[at], at + 1
        if size > 127:
            size, at = (size + (data[at] << 7) - 128, at + 1) if data[at] < 128 else read_unsigned(data, at - 1)
        end = at + (size >> 1)
        stamp, at = data[at + 1], at + 2  # after the attributes, which mean nothing yet
        if stamp > 127:
            stamp, at = (stamp + (data[at] << 7) - 128, at + 1) if data[at] < 128 else read_unsigned(data, at - 1)
        step, at = data[at], at + 1
        if step > 127:
            step, at = (step + (data[at] << 7) - 128, at + 1) if data[at] < 128 else read_unsigned(data, at - 1)
        key, size, at = at, data[at], at + 1
        if size > 127:
            size, at = (size + (data[at] << 7) - 128, at + 1) if data[at] < 128 else read_unsigned(data, at - 1)
        if size & 1 and (size > 1 or at > key + 1):
            raise ValueError("a key with a negative length")
        at += size >> 1
        value, size, at = at, data[at], at + 1
        if size > 127:
            size, at = (size + (data[at] << 7) - 128, at + 1) if data[at] < 128 else read_unsigned(data, at - 1)
        headers = at + (size >> 1)
        if size & 1 and (size > 1 or at > value + 1):
            raise ValueError("a value with a negative length")
        if headers >= end:
            raise ValueError(f"a record of {end} bytes whose value ends at {headers}")
        yield stamp, step, key, value, at, headers, end
        at = end


def unpack(batch: Batch) -> list[Record]:
    """The batch's records. Raises IndexError or ValueError for bytes that are no records."""
    batch = batch.opened()
    records = records_of(batch, batch.data(), 0, 0)
    return [record for record in records if record.offset >= batch.start_offset]


def records_of(batch: Batch, data: bytes, at: int, place: int, before: int = -1) -> list[Record]:
    """Its records from the one with number `place` on, which begins at `at`; names of headers EXACT (headers.py).

    Slow, and takes whatever brokers take. `before`: the offset, within the batch, of the record before. Where offsets
    do not rise, or leave no room for the records to come, a record has the one after that of the record before it.
    Raises IndexError, ValueError.
    """
    records, last = [], batch.offset - batch.base_offset
    for room in range(last - batch.records + 1 + place, last + 1):
        size, at = read_long(data, at)
        end = at + size
        stamp, at = read_long(data, at + 1)
        step, at = read_long(data, at)
        key, at = sized(data, at)
        value, at = sized(data, at)
        names, values, at = walk(data, at)
        if at != end:
            raise ValueError(f"a record that ends at {at} and says {end}")
        time = int64(batch.base_timestamp + stamp) if batch.append_time_ms is None else batch.append_time_ms
        before = step if before < step <= room else before + 1
        headers = tuple((name.decode(errors=EXACT), value) for name, value in zip(names, values, strict=True))
        records.append(Record(batch.base_offset + before, time, key, headers, value))
    return records


def int64(number: int) -> int:
    """As it is in 64 bits: what a hostile delta makes of a timestamp is what Java makes of it."""
    return (number + 2**63) % 2**64 - 2**63


@dataclass(frozen=True, slots=True)
class Packed:
    """A Batch of records at hand, from `pack`."""

    base_offset: int
    offset: int
    base_timestamp: int
    records: int
    packed: bytes

    @property
    def start_offset(self) -> int:
        return self.base_offset

    @property
    def append_time_ms(self) -> None:
        return None

    @property
    def at_most(self) -> int:
        return len(self.packed)

    def data(self) -> bytes:
        return self.packed

    def opened(self) -> "Packed":
        return self


def pack(records: Sequence[Incoming]) -> Packed:
    """At least one record, in offset order, as a broker would store them; names of headers are EXACT (headers.py)."""
    first = records[0]
    parts = []
    for record in records:
        headers = [_text(name) + _bytes(value) for name, value in record.headers]
        fields = (
            b"\0",
            long(record.timestamp - first.timestamp),
            long(record.offset - first.offset),
            _bytes(record.key),
            _bytes(record.value),
            long(len(headers)),
            *headers,
        )
        body = b"".join(fields)
        parts.append(long(len(body)) + body)
    return Packed(first.offset, records[-1].offset, first.timestamp, len(records), b"".join(parts))


def _text(name: str) -> bytes:
    return _bytes(name.encode(errors=EXACT))


def _bytes(data: bytes | None) -> bytes:
    return _NULL if data is None else long(len(data)) + data
