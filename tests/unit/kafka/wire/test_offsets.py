"""What is asked for, and what an answer says, byte for byte."""

from io import BytesIO

from atlas_kafka.wire.offsets import CoordinatorsOfGroups, OffsetsOfGroups

NO_TAGS = b"\x00"


def test_all_offsets_of_many_groups_are_asked_for_at_once() -> None:
    request = OffsetsOfGroups(["g", "hi"]).prepare({9: (1, 10)})
    all_topics, whatever_is_open = b"\x00", b"\x00"
    groups = b"\x03" + b"\x02g" + all_topics + NO_TAGS + b"\x03hi" + all_topics + NO_TAGS
    assert (request.API_VERSION, request.encode()) == (8, groups + whatever_is_open + NO_TAGS)


def test_the_groups_of_an_answer_are_its_bytes() -> None:
    answer = OffsetsOfGroups(["g"]).prepare({9: (1, 10)}).RESPONSE_TYPE.decode(BytesIO(b"\x00\x00\x00\x05rest"))
    assert (answer.throttle_time_ms, answer.groups) == (5, b"rest")


def test_who_coordinates_many_groups() -> None:
    request = CoordinatorsOfGroups(["g"]).prepare({10: (0, 6)})
    assert request.encode() == b"\x00" + b"\x02\x02g" + NO_TAGS
    found = request.RESPONSE_TYPE(0, [("g", 3, "host", 9092, 0, None, {})], {})
    ((group, node, *_rest),) = request.RESPONSE_TYPE.decode(BytesIO(found.encode())).coordinators
    assert (group, node) == ("g", 3)
