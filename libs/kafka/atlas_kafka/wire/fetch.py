"""A fetch by a topic's id: aiokafka speaks Fetch up to version 11, which names topics.

Version 13 takes ids; every broker since Kafka 3.1 speaks it.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from atlas_kafka.internals.fetching import FetchRequest, limits_of, rack_of
from atlas_kafka.internals.protocol import (
    CompactArray,
    CompactBytes,
    Int8,
    Int16,
    Int32,
    Int64,
    Request,
)
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, Uuid, array, body, partitions_of


class _Response(FlexibleResponse, api=(1, 13)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("session_id", Int32),
        partitions_of(
            ("topic_id", Uuid),
            ("partition", Int32),
            ("error_code", Int16),
            ("high_watermark", Int64),
            ("last_stable_offset", Int64),
            ("log_start_offset", Int64),
            ("aborted_transactions", array(("producer_id", Int64), ("first_offset", Int64))),
            ("preferred_read_replica", Int32),
            ("records", CompactBytes),
        ),
    )


class _V13(FlexibleRequest, answered=_Response):
    SCHEMA = body(
        ("replica_id", Int32),
        ("max_wait_ms", Int32),
        ("min_bytes", Int32),
        ("max_bytes", Int32),
        ("isolation_level", Int8),
        ("session_id", Int32),
        ("session_epoch", Int32),
        partitions_of(
            ("topic_id", Uuid),
            ("partition", Int32),
            ("current_leader_epoch", Int32),
            ("fetch_offset", Int64),
            ("last_fetched_epoch", Int32),
            ("log_start_offset", Int64),
            ("max_bytes", Int32),
        ),
        ("forgotten_topics", array(("topic_id", Uuid), ("partitions", CompactArray(Int32)))),
        ("rack_id", TEXT),
    )


class FetchOfIds(Request[_V13]):  # type: ignore[misc]
    """What `named` asks for, of the topics of these ids and none `without`; a partition's leader answers."""

    API_KEY = 1

    def __init__(self, named: FetchRequest, ids: Mapping[str, str], without: Collection[TopicPartition] = ()) -> None:
        self._named = named
        self.topics: list[tuple[uuid.UUID, list[tuple[Any, ...]], dict[int, bytes]]] = []
        for topic, partitions in named.topics:
            wanted: list[tuple[Any, ...]] = [
                (number, -1, offset, -1, -1, max_bytes, {})
                for number, offset, max_bytes in partitions
                if TopicPartition(topic, number) not in without
            ]
            if topic in ids and wanted:
                self.topics.append((uuid.UUID(ids[topic]), wanted, {}))

    def build(self, request_struct_class: type[_V13]) -> _V13:
        """The request as it is sent."""
        named, no_session = self._named, (0, -1)
        return request_struct_class(-1, *limits_of(named), *no_session, self.topics, [], rack_of(named), {})


class FetchAnswer(NamedTuple):
    """As aiokafka's fetcher takes it: an answer of version 11."""

    topics: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]
    API_VERSION: int = 11
