"""A consumer's fetcher, its buffer of answers, and what an answer holds for a partition.

aiokafka has no way to change what a fetch asks for, or what is made of its answer: `getmany` gives its own records, and
a record or batch that it refuses ends the consumer.
"""

from collections.abc import MutableMapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult
from aiokafka.protocol.fetch import FetchRequest

__all__ = ["READ_COMMITTED", "READ_UNCOMMITTED", "FetchRequest", "FetchResult", "Fetcher", "limits_of", "rack_of"]
# FetchRequest: what the fetcher gives its client to send, so it tells a fetch from other requests.
# FetchResult: what the fetcher puts into its buffer for a partition; anything else in there is an error.
# READ_COMMITTED, READ_UNCOMMITTED: the isolation level of a fetch, the second of one that takes all there is.


class Fetcher:
    """The fetcher of a started consumer: its client and its buffer can be replaced by others that stand in for them."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._inner = consumer._fetcher

    @property
    def client(self) -> Any:
        """What it sends its fetches with."""
        return self._inner._client

    @client.setter
    def client(self, client: Any) -> None:
        self._inner._client = client

    @property
    def buffer(self) -> MutableMapping[TopicPartition, Any]:
        """What was fetched of each partition and not taken: a FetchResult, or an error."""
        buffer: MutableMapping[TopicPartition, Any] = self._inner._records
        return buffer

    @buffer.setter
    def buffer(self, buffer: MutableMapping[TopicPartition, Any]) -> None:
        self._inner._records = buffer

    def reach(self, place: TopicPartition) -> tuple[int, int]:
        """Up to where an assigned partition was taken, and where it ends by the last answer about it; 0: not known.

        `consumer.position` waits until it is known, for as long as that takes.
        """
        state = self._inner._subscriptions.subscription.assignment.state_value(place)
        return state.position if state.has_valid_position else 0, state.highwater or 0


def partition_of(result: Any) -> TopicPartition:
    """The partition of a FetchResult: its own `getall` is replaced, and is told nothing else."""
    return result._topic_partition


def records_of(result: Any) -> Any:
    """The PartitionRecords of a FetchResult, or what `put_records` put there; None when they are used up."""
    return result._partition_records


def put_records(result: Any, records: Any) -> None:
    """Have a FetchResult give these records; None says that they are used up."""
    result._partition_records = records


def move_position(result: Any) -> None:
    """Have the consumer's position of the partition follow what was taken of the FetchResult."""
    result._update_position()


def make_records_by(result: Any, make: Any) -> None:
    """Have a FetchResult make each record by `make(partition, record)`, where aiokafka makes a ConsumerRecord."""
    result._partition_records._consumer_record = make


def aborted_of(records: Any) -> list[tuple[int, int]]:
    """Producer and first offset of each aborted transaction that a reader of PartitionRecords has to leave out."""
    aborted: list[tuple[int, int]] = records._aborted_transactions
    return aborted if records._isolation_level == READ_COMMITTED else []


def release(records: Any) -> None:
    """Let go of PartitionRecords that are not iterated over.

    Their iterator refers to them and holds the whole answer: until the collector finds such pairs they take hundreds
    of megabytes.
    """
    records._records_iterator = None


def limits_of(request: FetchRequest) -> tuple[int, int, int, int]:
    """Longest wait in ms, least and most bytes and isolation level of a fetch, for one of a newer version."""
    return request._max_wait_ms, request._min_bytes, request._max_bytes, request._isolation_level


def rack_of(request: FetchRequest) -> str:
    """The rack of the one who fetches, for a fetch of a newer version."""
    rack: str = request._rack_id
    return rack
