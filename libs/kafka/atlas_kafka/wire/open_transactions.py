"""Requests about transactions that aiokafka does not speak: KIP-664, in every broker since Kafka 3.0."""

from collections.abc import Collection, Mapping, Sequence

from atlas_kafka.internals.protocol import Boolean, CompactArray, Int16, Int32, Int64, Request
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, array, body, partitions_of

_Tags = dict[int, bytes]


class _DescribeProducersResponse(FlexibleResponse, api=(61, 0)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        partitions_of(
            ("name", TEXT),
            ("partition", Int32),
            ("error_code", Int16),
            ("error_message", TEXT),
            (
                "producers",
                array(
                    ("producer_id", Int64),
                    ("producer_epoch", Int32),
                    ("last_sequence", Int32),
                    ("last_timestamp", Int64),
                    ("coordinator_epoch", Int32),
                    ("transaction_start", Int64),
                ),
            ),
        ),
    )


class _DescribeProducersRequestV0(FlexibleRequest, answered=_DescribeProducersResponse):
    SCHEMA = body(("topics", array(("name", TEXT), ("partitions", CompactArray(Int32)))))


class DescribeProducers(Request[_DescribeProducersRequestV0]):  # type: ignore[misc]
    """Who writes to the partitions, by topic; a partition's leader answers."""

    API_KEY = 61

    def __init__(self, partitions: Mapping[str, Sequence[int]]) -> None:
        self._topics: list[tuple[str, list[int], _Tags]] = [
            (topic, list(numbers), {}) for topic, numbers in partitions.items()
        ]

    def build(self, request_struct_class: type[_DescribeProducersRequestV0]) -> _DescribeProducersRequestV0:
        return request_struct_class(self._topics, {})


class _ListTransactionsResponse(FlexibleResponse, api=(66, 0)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(TEXT)),
        ("transactions", array(("transactional_id", TEXT), ("producer_id", Int64), ("state", TEXT))),
    )


class _ListTransactionsRequestV0(FlexibleRequest, answered=_ListTransactionsResponse):
    SCHEMA = body(("states", CompactArray(TEXT)), ("producer_ids", CompactArray(Int64)))


class ListTransactions(Request[_ListTransactionsRequestV0]):  # type: ignore[misc]
    """The transactional ids that the broker coordinates and that have these producer ids."""

    API_KEY = 66

    def __init__(self, producer_ids: Collection[int]) -> None:
        self._producer_ids = list(producer_ids)

    def build(self, request_struct_class: type[_ListTransactionsRequestV0]) -> _ListTransactionsRequestV0:
        return request_struct_class([], self._producer_ids, {})


class _DescribeTransactionsResponse(FlexibleResponse, api=(65, 0)):
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            array(
                ("error_code", Int16),
                ("transactional_id", TEXT),
                ("state", TEXT),
                ("timeout_ms", Int32),
                ("started_at", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("topics", array(("topic", TEXT), ("partitions", CompactArray(Int32)))),
            ),
        ),
    )


class _DescribeTransactionsRequestV0(FlexibleRequest, answered=_DescribeTransactionsResponse):
    SCHEMA = body(("transactional_ids", CompactArray(TEXT)))


class DescribeTransactions(Request[_DescribeTransactionsRequestV0]):  # type: ignore[misc]
    """State, timeout and start of the transactional ids; their coordinator answers."""

    API_KEY = 65

    def __init__(self, transactional_ids: Collection[str]) -> None:
        self._ids = list(transactional_ids)

    def build(self, request_struct_class: type[_DescribeTransactionsRequestV0]) -> _DescribeTransactionsRequestV0:
        return request_struct_class(self._ids, {})


class _WriteTxnMarkersResponse(FlexibleResponse, api=(27, 1)):
    SCHEMA = body(
        (
            "markers",
            array(
                ("producer_id", Int64),
                ("topics", array(("name", TEXT), ("partitions", array(("partition", Int32), ("error_code", Int16))))),
            ),
        ),
    )


class _WriteTxnMarkersRequestV1(FlexibleRequest, answered=_WriteTxnMarkersResponse):
    SCHEMA = body(
        (
            "markers",
            array(
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("committed", Boolean),
                ("topics", array(("name", TEXT), ("partitions", CompactArray(Int32)))),
                ("coordinator_epoch", Int32),
            ),
        ),
    )


class AbortMarker(Request[_WriteTxnMarkersRequestV1]):  # type: ignore[misc]
    """Write the marker that ends a producer's transaction in one partition as aborted; its leader answers."""

    API_KEY = 27

    def __init__(self, topic: str, partition: int, producer: tuple[int, int, int]) -> None:
        """`producer` is its id, its epoch and its coordinator's epoch."""
        producer_id, epoch, coordinator_epoch = producer
        topics: list[tuple[str, list[int], _Tags]] = [(topic, [partition], {})]
        self._markers: list[tuple[object, ...]] = [(producer_id, epoch, False, topics, coordinator_epoch, {})]

    def build(self, request_struct_class: type[_WriteTxnMarkersRequestV1]) -> _WriteTxnMarkersRequestV1:
        return request_struct_class(self._markers, {})
