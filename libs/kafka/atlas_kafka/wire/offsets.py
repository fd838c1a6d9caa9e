"""What many groups have committed, in one answer, and who coordinates them; in every broker since Kafka 3.0.

aiokafka asks for one group at a time and makes objects of each partition, which takes seconds where there are many.
"""

from collections.abc import Collection
from io import BytesIO

from atlas_kafka.internals.protocol import AbstractType, Boolean, CompactArray, Int8, Int16, Int32, Request, Schema
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, array, body

_ABOUT_GROUPS = 0


class _Rest(AbstractType):  # type: ignore[misc]
    """All bytes that are left."""

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read()


class _OffsetsResponse(FlexibleResponse, api=(9, 8)):
    SCHEMA = Schema(("throttle_time_ms", Int32), ("groups", _Rest))


class _OffsetsRequestV8(FlexibleRequest, answered=_OffsetsResponse):
    SCHEMA = body(
        (
            "groups",
            array(("group", TEXT), ("topics", array(("topic", TEXT), ("partitions", CompactArray(Int32))))),
        ),
        ("require_stable", Boolean),
    )


class OffsetsOfGroups(Request[_OffsetsRequestV8]):  # type: ignore[misc]
    """Everything that groups have committed; their coordinator answers. `groups` of the answer are its bytes."""

    API_KEY = 9

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_OffsetsRequestV8]) -> _OffsetsRequestV8:
        return request_struct_class([(group, None, {}) for group in self._groups], False, {})


class _CoordinatorsResponse(FlexibleResponse, api=(10, 4)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        (
            "coordinators",
            array(
                ("key", TEXT),
                ("node_id", Int32),
                ("host", TEXT),
                ("port", Int32),
                ("error_code", Int16),
                ("error_message", TEXT),
            ),
        ),
    )


class _CoordinatorsRequestV4(FlexibleRequest, answered=_CoordinatorsResponse):
    SCHEMA = body(("key_type", Int8), ("keys", CompactArray(TEXT)))


class CoordinatorsOfGroups(Request[_CoordinatorsRequestV4]):  # type: ignore[misc]
    """Which broker coordinates each group; any broker answers."""

    API_KEY = 10

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_CoordinatorsRequestV4]) -> _CoordinatorsRequestV4:
        return request_struct_class(_ABOUT_GROUPS, self._groups, {})
