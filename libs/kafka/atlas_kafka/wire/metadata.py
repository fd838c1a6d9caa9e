"""Topics with their ids: aiokafka speaks Metadata up to version 5.

Ids are in version 12, which every broker since Kafka 3.1 speaks.
"""

import uuid
from collections.abc import Collection

from atlas_kafka.internals.protocol import Boolean, CompactArray, Int16, Int32, Request
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, Uuid, array, body


class _Response(FlexibleResponse, api=(3, 12)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            array(("node_id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT)),
        ),
        ("cluster_id", TEXT),
        ("controller_id", Int32),
        (
            "topics",
            array(
                ("error_code", Int16),
                ("name", TEXT),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _V12(FlexibleRequest, answered=_Response):
    SCHEMA = body(
        ("topics", array(("topic_id", Uuid), ("name", TEXT))),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
    )


class Metadata(Request[_V12]):  # type: ignore[misc]
    """The topics of these names that exist, with their ids, partitions and leaders; any broker answers."""

    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._topics: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [(uuid.UUID(int=0), name, {}) for name in names]

    def build(self, request_struct_class: type[_V12]) -> _V12:
        """The request as it is sent."""
        return request_struct_class(self._topics, False, False, {})
