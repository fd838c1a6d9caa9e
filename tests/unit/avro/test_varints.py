"""Integers as Avro and Kafka write them, against fastavro's."""

import io

import fastavro
import pytest
from atlas_avro.varints import length_table, long, read_long, read_unsigned, two_byte_table, unsigned
from hypothesis import given
from hypothesis import strategies as st

LONGS = st.integers(-(2**63), 2**63 - 1)


def by_fastavro(number: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, number)
    return out.getvalue()


@given(LONGS, st.binary(max_size=4), st.binary(max_size=4))
def test_a_long_is_written_and_read_as_fastavro_does(number: int, before: bytes, after: bytes) -> None:
    assert long(number) == by_fastavro(number)
    data = before + long(number) + after
    assert read_long(data, len(before)) == (number, len(data) - len(after))


@given(st.integers(0, 2**62))
def test_the_low_fourteen_bits_come_from_the_table(offset: int) -> None:
    zigzag = offset << 1
    if zigzag >> 14:
        assert two_byte_table()[zigzag & 16383] + unsigned(zigzag >> 14) == by_fastavro(offset)


def test_the_table_of_lengths() -> None:
    assert all(packed == by_fastavro(number) for number, packed in enumerate(length_table()))


def test_what_does_not_end_is_refused() -> None:
    with pytest.raises(IndexError):
        read_unsigned(b"\x80\x80", 0)
    with pytest.raises(IndexError):
        read_long(b"\x80\x80", 0)
    for read in (read_long, read_unsigned):
        with pytest.raises(ValueError, match="longer than 10 bytes"):
            read(b"\x80" * 10 + b"\0", 0)
