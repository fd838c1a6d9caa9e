"""The bytes are as KIP-482 has them: lengths are one more than they say, tags are at the end of every structure."""

from io import BytesIO

from aiokafka.protocol.types import Int16
from atlas_kafka.wire.flexible import TEXT, array, body

SHAPE = body(("name", TEXT), ("rows", array(("number", Int16))))
VALUE = ("ab", [(1, {}), (2, {})], {})
PACKED = b"\x03ab" + b"\x03" + b"\x00\x01\x00" + b"\x00\x02\x00" + b"\x00"


def test_it_is_written_and_read() -> None:
    assert SHAPE.encode(VALUE) == PACKED
    assert SHAPE.decode(BytesIO(PACKED)) == VALUE


def test_tags_are_read_wherever_they_are() -> None:
    tagged = PACKED[:-1] + b"\x01\x02\x03xyz"
    assert SHAPE.decode(BytesIO(tagged)) == (*VALUE[:-1], {2: b"xyz"})
    assert SHAPE.decode(BytesIO(b"\x01" + b"\x02" + b"\x00\x07\x01\x05\x01!" + b"\x00")) == ("", [(7, {5: b"!"})], {})
