"""Requests about groups that aiokafka does not speak: their types, many at once, and the newer protocol (KIP-848)."""

from collections.abc import Collection

from atlas_kafka.internals.protocol import Boolean, CompactArray, CompactBytes, Int16, Int32, Request
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, Uuid, array, body

_ASSIGNMENT = body(
    ("topic_partitions", array(("topic_id", Uuid), ("topic", TEXT), ("partitions", CompactArray(Int32)))),
)


class _ListGroupsResponseV4(FlexibleResponse, api=(16, 4)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("groups", array(("group", TEXT), ("protocol_type", TEXT), ("state", TEXT))),
    )


class _ListGroupsResponseV5(FlexibleResponse, api=(16, 5)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("groups", array(("group", TEXT), ("protocol_type", TEXT), ("state", TEXT), ("type", TEXT))),
    )


class _ListGroupsRequestV4(FlexibleRequest, answered=_ListGroupsResponseV4):
    SCHEMA = body(("states", CompactArray(TEXT)))


class _ListGroupsRequestV5(FlexibleRequest, answered=_ListGroupsResponseV5):
    SCHEMA = body(("states", CompactArray(TEXT)), ("types", CompactArray(TEXT)))


class ListGroups(Request[_ListGroupsRequestV4 | _ListGroupsRequestV5]):  # type: ignore[misc]
    """Every group that the broker coordinates; with its type from Kafka 3.8 on."""

    API_KEY = 16

    def build(
        self, request_struct_class: type[_ListGroupsRequestV4 | _ListGroupsRequestV5]
    ) -> _ListGroupsRequestV4 | _ListGroupsRequestV5:
        if request_struct_class.API_VERSION == _ListGroupsRequestV4.API_VERSION:
            return request_struct_class([], {})
        return request_struct_class([], [], {})


class _DescribeClassicResponse(FlexibleResponse, api=(15, 5)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        (
            "groups",
            array(
                ("error_code", Int16),
                ("group", TEXT),
                ("state", TEXT),
                ("protocol_type", TEXT),
                ("protocol", TEXT),
                (
                    "members",
                    array(
                        ("member_id", TEXT),
                        ("instance_id", TEXT),
                        ("client_id", TEXT),
                        ("client_host", TEXT),
                        ("metadata", CompactBytes),
                        ("assignment", CompactBytes),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _DescribeClassicRequestV5(FlexibleRequest, answered=_DescribeClassicResponse):
    SCHEMA = body(("groups", CompactArray(TEXT)), ("include_authorized_operations", Boolean))


class DescribeClassicGroups(Request[_DescribeClassicRequestV5]):  # type: ignore[misc]
    """Members and assignments of groups of the classic protocol; their coordinator answers.

    aiokafka's own can be asked about one group only: of more it can't read the answer.
    """

    API_KEY = 15

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_DescribeClassicRequestV5]) -> _DescribeClassicRequestV5:
        return request_struct_class(self._groups, False, {})


class _DescribeResponse(FlexibleResponse, api=(69, 0)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        (
            "groups",
            array(
                ("error_code", Int16),
                ("error_message", TEXT),
                ("group", TEXT),
                ("state", TEXT),
                ("epoch", Int32),
                ("assignment_epoch", Int32),
                ("assignor", TEXT),
                (
                    "members",
                    array(
                        ("member_id", TEXT),
                        ("instance_id", TEXT),
                        ("rack_id", TEXT),
                        ("epoch", Int32),
                        ("client_id", TEXT),
                        ("client_host", TEXT),
                        ("topics", CompactArray(TEXT)),
                        ("topic_pattern", TEXT),
                        ("assignment", _ASSIGNMENT),
                        ("target", _ASSIGNMENT),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _DescribeRequestV0(FlexibleRequest, answered=_DescribeResponse):
    SCHEMA = body(("groups", CompactArray(TEXT)), ("include_authorized_operations", Boolean))


class DescribeConsumerGroups(Request[_DescribeRequestV0]):  # type: ignore[misc]
    """Members and assignments of groups of the newer protocol; their coordinator answers."""

    API_KEY = 69

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_DescribeRequestV0]) -> _DescribeRequestV0:
        return request_struct_class(self._groups, False, {})
