"""The bytes are as KIP-482 has them: lengths are one more than they say, tags are at the end of every structure."""

from io import BytesIO
from uuid import UUID

from aiokafka.protocol.types import Int16
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, Uuid, array, body, partitions_of

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


def test_a_request_has_the_key_and_the_version_of_its_answer() -> None:
    class Answer(FlexibleResponse, api=(99, 3)):
        SCHEMA = SHAPE

    class Asked(FlexibleRequest, answered=Answer):
        SCHEMA = body(("name", TEXT))

    assert (99, 3, Answer) == (Asked.API_KEY, Asked.API_VERSION, Asked.RESPONSE_TYPE)
    assert Asked("ab", {}).encode() == b"\x03ab" + b"\x00"
    assert Asked("ab", {}).build_request_header(1, "me").encode().endswith(b"\x00"), "the header has tags too"
    assert Answer.decode(PACKED).name == "ab"


def test_partitions_are_listed_below_their_topics() -> None:
    shape = body(partitions_of(("id", Uuid), ("number", Int16)))
    topic = UUID(int=7)
    packed = b"\x02" + topic.bytes + b"\x02" + b"\x00\x05\x00" + b"\x00" + b"\x00"
    assert shape.encode(([(topic, [(5, {})], {})], {})) == packed
