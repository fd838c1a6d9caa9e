"""Share groups (KIP-932): their members, from where on their records wait, and how many. In brokers since Kafka 4.2."""

from collections.abc import Collection

from atlas_kafka.internals.protocol import Boolean, CompactArray, Int16, Int32, Int64, Request
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, Uuid, array, body

_ASSIGNMENT = body(
    ("topic_partitions", array(("topic_id", Uuid), ("topic", TEXT), ("partitions", CompactArray(Int32)))),
)


class _DescribeResponse(FlexibleResponse, api=(77, 1)):
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
                        ("rack_id", TEXT),
                        ("epoch", Int32),
                        ("client_id", TEXT),
                        ("client_host", TEXT),
                        ("topics", CompactArray(TEXT)),
                        ("assignment", _ASSIGNMENT),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _DescribeRequestV1(FlexibleRequest, answered=_DescribeResponse):
    SCHEMA = body(("groups", CompactArray(TEXT)), ("include_authorized_operations", Boolean))


class DescribeShareGroups(Request[_DescribeRequestV1]):  # type: ignore[misc]
    """Members and assignments; the groups' coordinator answers."""

    API_KEY = 77

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_DescribeRequestV1]) -> _DescribeRequestV1:
        return request_struct_class(self._groups, False, {})


class _OffsetsResponse(FlexibleResponse, api=(90, 1)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        (
            "groups",
            array(
                ("group", TEXT),
                (
                    "topics",
                    array(
                        ("topic", TEXT),
                        ("topic_id", Uuid),
                        (
                            "partitions",
                            array(
                                ("partition", Int32),
                                ("start", Int64),
                                ("leader_epoch", Int32),
                                ("lag", Int64),
                                ("error_code", Int16),
                                ("error_message", TEXT),
                            ),
                        ),
                    ),
                ),
                ("error_code", Int16),
                ("error_message", TEXT),
            ),
        ),
    )


class _OffsetsRequestV1(FlexibleRequest, answered=_OffsetsResponse):
    SCHEMA = body(
        (
            "groups",
            array(("group", TEXT), ("topics", array(("topic", TEXT), ("partitions", CompactArray(Int32))))),
        ),
    )


class OffsetsOfShareGroups(Request[_OffsetsRequestV1]):  # type: ignore[misc]
    """The first offset of each partition that is not done with, and how many are not; the groups' coordinator answers.

    -1 where nobody has read yet. Behind the first one records may be done with already.
    """

    API_KEY = 90

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_OffsetsRequestV1]) -> _OffsetsRequestV1:
        return request_struct_class([(group, None, {}) for group in self._groups], {})
