"""aiokafka's requests and types of fields take and give what ours are made of."""

import inspect
from io import BytesIO
from typing import Any

import pytest
from atlas_kafka.internals import protocol
from atlas_kafka.internals.protocol import CompactArray, CompactBytes, CompactString, Int16, Schema, TaggedFields

TYPES: list[tuple[Any, Any, bytes]] = [
    (protocol.Boolean, True, b"\x01"),
    (protocol.Int8, -2, b"\xfe"),
    (protocol.Int16, 258, b"\x01\x02"),
    (protocol.Int32, 258, b"\x00\x00\x01\x02"),
    (protocol.Int64, -1, b"\xff" * 8),
    (CompactBytes, b"ab", b"\x03ab"),
    (CompactString("utf-8"), "ä", b"\x03\xc3\xa4"),
    (CompactString("utf-8"), None, b"\x00"),
    (CompactArray(Int16), [1, 2], b"\x03\x00\x01\x00\x02"),
    (TaggedFields, {}, b"\x00"),
    (Schema(("a", Int16), ("tags", TaggedFields)), (7, {}), b"\x00\x07\x00"),
]


@pytest.mark.parametrize(("kind", "value", "packed"), TYPES, ids=lambda each: getattr(each, "__name__", None))
def test_a_type_packs_and_unpacks(kind: Any, value: Any, packed: bytes) -> None:
    assert kind.encode(value) == packed
    assert kind.decode(BytesIO(packed)) == value


REQUESTS: dict[str, list[Any]] = {
    "AddPartitionsToTxnRequest": ["t", 1, 2, [("topic", [0])]],
    "DeleteGroupsRequest": [["group"]],
    "DescribeConfigsRequest": [[(2, "topic", None)], False],
    "DescribeGroupsRequest": [["group"]],
    "EndTxnRequest": ["t", 1, 2, True],
    "InitProducerIdRequest": [None, 60_000],
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_made_of_what_is_given(name: str) -> None:
    kind = getattr(protocol, name)
    assert issubclass(kind, protocol.Request)
    made = kind(*REQUESTS[name])
    assert len(inspect.signature(kind).parameters) >= len(REQUESTS[name])
    assert made.API_KEY == kind.API_KEY


def test_a_request_of_our_own_is_packed_and_its_answer_read() -> None:
    class Answer(protocol.Response):  # type: ignore[misc]  # aiokafka has no types
        API_KEY = 99
        API_VERSION = 0
        SCHEMA = Schema(("code", Int16), ("tags", TaggedFields))

    class Form(protocol.RequestStruct):  # type: ignore[misc]
        API_KEY = 99
        API_VERSION = 0
        FLEXIBLE_VERSION = True
        RESPONSE_TYPE = Answer
        SCHEMA = Schema(("number", Int16), ("tags", TaggedFields))

    class Ask(protocol.Request[Form]):  # type: ignore[misc]
        API_KEY = 99

        def build(self, request_struct_class: type[Form]) -> Form:
            return request_struct_class(5, {})

    assert Ask().prepare({99: (0, 0)}).encode() == b"\x00\x05\x00"
    assert Answer.decode(BytesIO(b"\x00\x03\x00")).code == 3


def test_what_members_of_a_group_ask_for_and_have() -> None:
    metadata = protocol.ConsumerProtocolMemberMetadata(0, ["t"], b"")
    assert protocol.ConsumerProtocolMemberMetadata.decode(BytesIO(metadata.encode())).subscription == ["t"]
    assignment = protocol.ConsumerProtocol.ASSIGNMENT(0, [("t", [1])], b"")
    assert protocol.ConsumerProtocol.ASSIGNMENT.decode(assignment.encode()).partitions() == [("t", 1)]
