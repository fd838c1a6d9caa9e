"""What is asked for, and what an answer says, byte for byte."""

import uuid
from io import BytesIO

from atlas_kafka.wire.metadata import Metadata

ID = uuid.UUID("00000000-0000-4000-8000-00000000002a")


def test_topics_are_asked_for_by_name_and_none_is_made() -> None:
    request = Metadata(["orders"]).prepare({3: (0, 12)})
    no_id, name, no_tags = bytes(16), b"\x07orders", b"\x00"
    assert request.encode() == b"\x02" + no_id + name + no_tags + b"\x00\x00" + no_tags


def test_an_answer_has_ids_and_leaders() -> None:
    kind = Metadata(["orders"]).prepare({3: (0, 12)}).RESPONSE_TYPE
    partition = (0, 3, 1, 5, [1], [1], [], {})
    answer = kind(0, [(1, "host", 9092, None, {})], "cluster", 1, [(0, "orders", ID, False, [partition], 0, {})], {})
    read = kind.decode(BytesIO(answer.encode()))
    ((code, name, topic_id, _internal, ((_code, number, leader, *_more),), *_rest),) = read.topics
    assert (code, name, topic_id, number, leader) == (0, "orders", ID, 3, 1)
