"""Where a batch ends that can't be read, from whatever is left of it."""

import struct

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from atlas_kafka.fetching.damage import end_of
from hypothesis import given
from hypothesis import strategies as st


def batch(base: int, records: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 2**20)
    for number in range(records):
        builder.append(number, 1, b"k", b"v", [])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    return bytes(data)


def test_a_batch_ends_where_it_says() -> None:
    assert end_of(batch(10, 5), 10) == 15
    assert end_of(batch(10, 5), 12) == 15
    assert end_of(batch(10, 5) + batch(15, 3), 10) == 15


def test_or_where_the_next_one_begins() -> None:
    broken = bytearray(batch(10, 5))
    struct.pack_into(">i", broken, 23, 1_000_000)  # the delta of its last offset
    assert end_of(bytes(broken) + batch(15, 3), 10) == 15
    struct.pack_into(">i", broken, 23, -7)
    assert end_of(bytes(broken) + batch(15, 3), 10) == 15


def test_or_else_with_the_offset() -> None:
    assert end_of(b"", 7) == 8
    assert end_of(b"\xff" * 61, 7) == 8


@given(st.binary(max_size=200), st.integers(0, 2**40))
def test_it_always_goes_on(data: bytes, offset: int) -> None:
    assert end_of(data, offset) > offset
