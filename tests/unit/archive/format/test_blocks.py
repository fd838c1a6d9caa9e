"""One block, as the writer lays it out and as other bytes might pretend."""

import pytest
from atlas_archive.format.blocks import read_block
from atlas_archive.format.headers import READABLE, HeaderShapes
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_avro.varints import long

BODY = b"body"
# offset, timestamp, key, headers (none), length, value
PLAIN = long(2**40) + long(-1) + b"\x02\x02k" + b"\0" + long(4) + BODY


def test_a_typed_record_gets_its_framing_back() -> None:
    assert read_block(PLAIN, 1, framing(9), HeaderShapes(), READABLE) == [
        Record(2**40, -1, b"k", (), framing(9) + BODY)
    ]


@pytest.mark.parametrize(
    ("field", "value"), [(b"\0", None), (b"\x02\0", b""), (b"\x02" + long(300) + bytes(300), bytes(300))]
)
def test_a_raw_value_is_a_union(field: bytes, value: bytes | None) -> None:
    data = long(1) + long(2) + b"\0\0" + long(len(field)) + field
    assert read_block(data, 1, None, HeaderShapes(), READABLE) == [Record(1, 2, None, (), value)]


def test_headers_of_a_typed_record_keep_their_order_and_their_repeats() -> None:
    headers = b"\x06" + b"\x02a\x02x" + b"\x02a\0" + b"\x04\xc3\xa9\x02y" + b"\0"
    data = long(1) + long(2) + b"\0" + headers + b"\0"
    records = read_block(data * 2, 2, b"", HeaderShapes(), READABLE)
    assert [record.headers for record in records] == [(("a", b"x"), ("a", b""), ("é", b"y"))] * 2


def test_headers_of_a_raw_record_may_be_null() -> None:
    headers = b"\x04" + b"\x02a\x02\x02x" + b"\x02a\0" + b"\0"
    data = long(1) + long(2) + b"\0" + headers + long(1) + b"\0"
    (record,) = read_block(data, 1, None, HeaderShapes(), READABLE)
    assert record.headers == (("a", b"x"), ("a", None))


@pytest.mark.parametrize(
    ("data", "count", "prefix"),
    [
        (PLAIN, 2, b""),
        (PLAIN + b"\0", 1, b""),
        (PLAIN[:-1], 1, b""),
        (PLAIN[:3], 1, b""),
        (PLAIN, 1, None),  # "b" is no branch of a union
        (long(1) + long(2) + b"\x04\0\0\0", 1, b""),  # nor is 4
        (long(1) + long(2) + b"\0\x02\x02a\x04\0\0", 1, b""),
        (long(1) + long(2) + b"\0\x01\x02\x02a\0\0\0", 1, b""),  # a negative number of headers
        (long(1) + long(2) + b"\0\x02\x02\xff\0\0\0", 1, b""),  # a name that is not UTF-8
        (long(1) + long(2) + b"\0\0" + long(3) + b"\x02\x04a", 1, None),
    ],
)
def test_other_bytes_are_refused(data: bytes, count: int, prefix: bytes | None) -> None:
    with pytest.raises((ValueError, IndexError)):
        read_block(data, count, prefix, HeaderShapes(), READABLE)
