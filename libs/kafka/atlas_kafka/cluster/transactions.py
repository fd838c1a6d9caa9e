"""Open transactions: which one holds back a partition's last stable offset, whose it is, and its end.

    high watermark ≥ last stable offset = first offset of the oldest open transaction

Read-committed consumers see nothing from there on, whoever wrote it, until that transaction ends.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import IncompatibleBrokerVersion, for_code

from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_kafka.wire.open_transactions import AbortMarker, DescribeProducers, DescribeTransactions, ListTransactions

# Kafka's text for a transaction that its coordinator knows to be open.
ONGOING = "Ongoing"


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """The oldest transaction that is open in a partition.

    `start` is its first offset there. `transactional_id` is None when no coordinator knows the producer; `started_at`
    and `last_write_at` are epoch milliseconds by the brokers and the producer; `timeout_ms` is after how long the
    coordinator aborts it. `hanging`: no coordinator has it open, so nothing but a marker will ever end it.
    """

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    start: int
    last_write_at: int
    transactional_id: str | None = None
    started_at: int | None = None
    timeout_ms: int | None = None
    hanging: bool = False


async def open_transactions(
    client: AIOKafkaClient, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, OpenTransaction]:
    """The oldest open transaction of each partition that has one.

    `client` is a started AIOKafkaClient. Empty where the brokers are older than Kafka 3.0 or do not allow the question.
    Raises KafkaError when they do not answer.
    """
    if not partitions:
        return {}
    try:
        oldest = await _oldest(client, partitions)
        known = await _known(client, {each.producer_id for each in oldest.values()})
    except IncompatibleBrokerVersion:
        return {}
    return {partition: _joined(each, known.get(each.producer_id), partition) for partition, each in oldest.items()}


async def _oldest(
    client: AIOKafkaClient, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, OpenTransaction]:
    metadata = await client.fetch_all_metadata()
    by_leader: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for partition in partitions:
        leader = metadata.leader_for_partition(partition)
        if leader is not None and leader >= 0:
            by_leader[leader][partition.topic].append(partition.partition)
    found: dict[TopicPartition, OpenTransaction] = {}
    for leader, wanted in by_leader.items():
        response = await client.send(leader, DescribeProducers(wanted))
        for topic, answers, _tags in response.topics:
            for number, code, _message, producers, _more in answers:
                # Moved, deleted or not allowed: not known now, and the next round asks again.
                transactions = [] if code else [each for each in producers if each[5] >= 0]
                if transactions:
                    oldest = min(transactions, key=lambda each: int(each[5]))
                    producer_id, epoch, _sequence, last_at, coordinator_epoch, start = oldest[:6]
                    found[TopicPartition(topic, number)] = OpenTransaction(
                        producer_id, epoch, coordinator_epoch, start, last_at
                    )
    return found


class _Known(NamedTuple):
    transactional_id: str
    producer_epoch: int
    state: str
    started_at: int
    timeout_ms: int
    partitions: frozenset[TopicPartition]


async def _known(client: AIOKafkaClient, producer_ids: Collection[int]) -> dict[int, _Known]:
    """What the coordinators know of these producers."""
    known: dict[int, _Known] = {}
    if not producer_ids:
        return known
    for broker in (await client.fetch_all_metadata()).brokers():
        listed = await client.send(broker.nodeId, ListTransactions(producer_ids))
        ids = [name for name, *_ in listed.transactions] if listed.error_code == 0 else []
        if not ids:
            continue
        described = await client.send(broker.nodeId, DescribeTransactions(ids))
        for code, name, state, timeout_ms, started_at, producer_id, epoch, topics, *_ in described.transactions:
            if code == 0:
                partitions = frozenset(TopicPartition(topic, each) for topic, numbers, *_ in topics for each in numbers)
                known[producer_id] = _Known(name, epoch, state, started_at, timeout_ms, partitions)
    return known


def _joined(each: OpenTransaction, known: _Known | None, partition: TopicPartition) -> OpenTransaction:
    ongoing = (
        known is not None
        and known.state != "Empty"
        and not known.state.startswith("Complete")
        and (known.state != ONGOING or partition in known.partitions)
    )
    return replace(
        each,
        transactional_id=known.transactional_id if known is not None else None,
        started_at=known.started_at if known is not None and ongoing and known.started_at >= 0 else None,
        timeout_ms=known.timeout_ms if known is not None else None,
        hanging=not ongoing,
    )


async def abort_of(brokers: str, transactional_id: str) -> None:
    """End the transaction that this id has open, as aborted, and fence its producer, as a successor of it would.

    A producer that still runs gets an error with its next request. Raises what the brokers answer.
    """
    async with open_transactional_producer(brokers, "atlas-abort", transactional_id):
        pass


async def abort_hanging(client: AIOKafkaClient, partition: TopicPartition, transaction: OpenTransaction) -> None:
    """Write the marker that ends a hanging transaction in one partition as aborted; raises KafkaError."""
    leader = (await client.fetch_all_metadata()).leader_for_partition(partition)
    producer = (transaction.producer_id, transaction.producer_epoch, max(0, transaction.coordinator_epoch))
    response = await client.send(leader, AbortMarker(partition.topic, partition.partition, producer))
    codes = [part[1] for marker in response.markers for topic in marker[1] for part in topic[1]]
    for code in codes:
        if code:
            raise for_code(code)(f"{partition.topic}/{partition.partition}: producer {transaction.producer_id}")
