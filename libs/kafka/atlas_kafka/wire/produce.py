"""Kafka's produce request in its flexible form, in whose answers a broker says which records it refuses and why.

aiokafka's own request knows neither.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from atlas_kafka.internals.protocol import CompactBytes, Int16, Int32, Int64, Request
from atlas_kafka.producing.produce_answers import Answer
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, array, body, partitions_of

_ANSWER = body(
    partitions_of(
        ("topic", TEXT),
        ("partition", Int32),
        ("error_code", Int16),
        ("offset", Int64),
        ("append_time", Int64),
        ("log_start", Int64),
        ("record_errors", array(("index", Int32), ("message", TEXT))),
        ("message", TEXT),
    ),
    ("throttle_time_ms", Int32),
)
_REQUEST = body(
    ("transactional_id", TEXT),
    ("acks", Int16),
    ("timeout_ms", Int32),
    partitions_of(("topic", TEXT), ("partition", Int32), ("records", CompactBytes)),
)


class _PlainResponse(FlexibleResponse, api=(0, 9)):
    SCHEMA = _ANSWER


class _PlainRequest(FlexibleRequest, answered=_PlainResponse):
    SCHEMA = _REQUEST


class _TransactionalResponse(FlexibleResponse, api=(0, 12)):
    SCHEMA = _ANSWER


class _TransactionalRequest(FlexibleRequest, answered=_TransactionalResponse):
    SCHEMA = _REQUEST


Batches = Mapping[str, Sequence[tuple[int, bytes]]]


def _body(transactional_id: str | None, timeout_ms: int, topics: Batches) -> tuple[Any, ...]:
    listed: list[Any] = [
        (topic, [(*partition, {}) for partition in partitions], {}) for topic, partitions in topics.items()
    ]
    return transactional_id, -1, timeout_ms, listed, {}


class Produce(Request[_PlainRequest]):  # type: ignore[misc]
    """Records, one batch a partition, acknowledged by all replicas that are in sync.

    With a `transactional_id` they are of a transaction of the first version, which their partitions have joined before.
    """

    API_KEY = 0

    def __init__(self, timeout_ms: int, topics: Batches, transactional_id: str | None = None) -> None:
        self._body = _body(transactional_id, timeout_ms, topics)

    def build(self, request_struct_class: type[_PlainRequest]) -> _PlainRequest:
        """The request as it is sent."""
        return request_struct_class(*self._body)


class ProduceInTransaction(Request[_TransactionalRequest]):  # type: ignore[misc]
    """Records of a transaction of the second version, which their partitions join with them."""

    API_KEY = 0

    def __init__(self, transactional_id: str, timeout_ms: int, topics: Batches) -> None:
        self._body = _body(transactional_id, timeout_ms, topics)

    def build(self, request_struct_class: type[_TransactionalRequest]) -> _TransactionalRequest:
        """The request as it is sent."""
        return request_struct_class(*self._body)


def answers_of(response: Any) -> dict[tuple[str, int], Answer]:
    """The answer to each batch, by topic and partition, out of the response to either request."""
    return {
        (topic, partition): Answer(
            code,
            offset,
            message,
            [(index, why or message or "") for index, why, *_tags in faults],
            appended if appended >= 0 else None,
        )
        for topic, partitions, *_tags in response.topics
        for partition, code, offset, appended, _first, faults, message, *_more in partitions
    }
