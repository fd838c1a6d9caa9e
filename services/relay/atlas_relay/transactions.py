"""Kafka transactions of one request each for records and commit, over a client of aiokafka.

After an error nothing is tried again here: the transaction is left open, whoever fences its producer ends it, and
whether it was committed is known by its mark. That is why this is so much less than a producer that serves everybody.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NodeNotReadyError,
    NoError,
    NotCoordinatorError,
    NotLeaderForPartitionError,
    OperationNotAttempted,
    UnknownTopicOrPartitionError,
    for_code,
    kafka_errors,
)
from aiokafka.protocol.api import Request
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest
from atlas_kafka.produce_request import ProduceInTransaction
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole

from atlas_relay.delivery import InvalidRecordError, Outcome, Parcels
from atlas_relay.requests import ApiVersions, Commit, transaction_version
from atlas_relay.splice import SplicedBatch
from atlas_relay.waiting import answered

_REQUEST_TIMEOUT_MS = 10_000
_CLOSE_TIMEOUT_S = 0.5
# A relay that dies without a successor holds up read-committed consumers for this long.
_TRANSACTION_TIMEOUT_MS = 15_000
# While a coordinator or a leader is found, and while a predecessor's transaction is being ended.
_PAUSE_S = 0.05
# A transaction can begin only when the markers of the one before are written, a millisecond or two after its commit.
_BETWEEN_TRANSACTIONS_S = 0.001
_PASSING = (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NodeNotReadyError,
    NotCoordinatorError,
)
# The markers before are not written, or the broker leads the partition not yet or no more. Should it have taken the
# batch all the same, its number tells when it comes again.
_TOO_EARLY = (ConcurrentTransactions, NotLeaderForPartitionError, UnknownTopicOrPartitionError)
_SECOND_VERSION = 2


@dataclass(slots=True)
class _Producer:
    """One transactional id. Its sequence numbers go on over transactions of the first version; in the second each has
    an epoch of its own, in which they begin anew.
    """

    transactional_id: str
    coordinator: int
    id: int
    epoch: int
    sequences: dict[TopicPartition, int] = field(default_factory=dict)

    def stamp(self, target: TopicPartition, batch: SplicedBatch) -> bytes:
        """The batch as the next of its partition."""
        sequence = self.sequences.get(target, 0)
        self.sequences[target] = (sequence + batch.record_count()) % (1 << 31)
        batch._set_producer_state(self.id, self.epoch, sequence)
        return batch._build()


class Transactions:
    """Transactional producers of one client that take turns, one transaction at a time.

    When the brokers have answered a commit they still have its markers to write, and the same producer's next
    transaction can't begin before they have.
    """

    def __init__(self, client: AIOKafkaClient, producers: Sequence[_Producer], version: int) -> None:
        self.client = client
        self._producers = deque(producers)
        self._second_version = version >= _SECOND_VERSION

    async def send(self, parcels: Parcels) -> list[Outcome]:
        """What became of the batches. The transaction is committed if and only if there is no error.

        1. Where it has to be, say which partitions are coming; 2. send each partition's batches, in order; 3. commit.
        Raises KafkaError, and then nobody knows. Bound it: what a broker has not taken yet is offered for ever.
        """
        producer = self._producers[0]
        if not self._second_version:
            await self._add_partitions(producer, list(parcels))  # 1
        outcomes: list[Outcome] = []
        for number in range(max(map(len, parcels.values()))):  # 2, a request having at most one batch of a partition
            batches = {target: batches[number] for target, batches in parcels.items() if number < len(batches)}
            outcomes += await self._produce(producer, batches)
            if any(outcome.error is not None for outcome in outcomes):
                return outcomes
        await self._commit(producer)  # 3
        self._producers.rotate()
        return outcomes

    async def _add_partitions(self, producer: _Producer, targets: Sequence[TopicPartition]) -> None:
        topics: dict[str, list[int]] = defaultdict(list)
        for topic, partition in targets:
            topics[topic].append(partition)
        request = AddPartitionsToTxnRequest(
            producer.transactional_id, producer.id, producer.epoch, list(topics.items())
        )
        while True:
            answer = await self.client.send(producer.coordinator, request)
            codes = {for_code(code) for _topic, partitions in answer.errors for _partition, code in partitions}
            errors = codes - {NoError, OperationNotAttempted}
            if not errors:
                return
            for error in errors:
                if not issubclass(error, _TOO_EARLY):
                    raise error()
            await asyncio.sleep(_BETWEEN_TRANSACTIONS_S if errors == {ConcurrentTransactions} else _PAUSE_S)

    async def _produce(self, producer: _Producer, batches: Mapping[TopicPartition, SplicedBatch]) -> list[Outcome]:
        """One batch a partition. What a broker did not look at because it was too early is sent again."""
        unsent = {target: producer.stamp(target, batch) for target, batch in batches.items()}
        errors: dict[TopicPartition, type[KafkaError]] = {}
        while unsent:
            shares: dict[int, dict[TopicPartition, bytes]] = defaultdict(dict)
            for target, packed in unsent.items():
                shares[self._leader(target)][target] = packed
            for found in await asyncio.gather(*(self._ask(producer, *share) for share in shares.items())):
                errors |= found
            unsent = {target: packed for target, packed in unsent.items() if issubclass(errors[target], _TOO_EARLY)}
            if unsent and any(errors[target] is not ConcurrentTransactions for target in unsent):
                await self.client.force_metadata_update()
                await asyncio.sleep(_PAUSE_S)
            elif unsent:
                await asyncio.sleep(_BETWEEN_TRANSACTIONS_S)
        return [
            Outcome(target, batch, None if (error := errors[target]) is NoError else error())
            for target, batch in batches.items()
        ]

    def _leader(self, target: TopicPartition) -> int:
        leader = self.client.cluster.leader_for_partition(target)
        # Any node tells that it is not the leader, and the metadata is asked for again.
        return self.client.get_random_node() if leader is None or leader < 0 else leader  # type: ignore[no-any-return]

    async def _ask(
        self, producer: _Producer, node: int, share: Mapping[TopicPartition, bytes]
    ) -> dict[TopicPartition, type[KafkaError]]:
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for (topic, partition), packed in share.items():
            topics[topic].append((partition, packed))
        answer = await self.client.send(node, self._request(producer.transactional_id, topics))
        return {
            TopicPartition(topic, partition): for_code(code)
            for topic, partitions, *_tags in answer.topics
            for partition, code, *_rest in partitions
        }

    def _request(self, transactional_id: str, topics: Mapping[str, Sequence[tuple[int, bytes]]]) -> Request[Any]:
        if self._second_version:
            return ProduceInTransaction(transactional_id, _REQUEST_TIMEOUT_MS, topics)
        return ProduceRequest(transactional_id, -1, _REQUEST_TIMEOUT_MS, list(topics.items()))

    async def _commit(self, producer: _Producer) -> None:
        names = (producer.transactional_id, producer.id, producer.epoch)
        request = Commit(*names) if self._second_version else EndTxnRequest(*names, True)
        answer = await self.client.send(producer.coordinator, request)
        if (error := for_code(answer.error_code)) is not NoError:
            raise error()
        if self._second_version:
            producer.id, producer.epoch = answer.producer_id, answer.producer_epoch
            producer.sequences.clear()


@asynccontextmanager
async def open_client(brokers: str, client_id: str, timeout_s: float) -> AsyncIterator[AIOKafkaClient]:
    """A client that knows the cluster. Its connections end with the block, whatever is under way on them.

    Raises KafkaError, or Transient after `timeout_s`.
    """
    kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)
    client = AIOKafkaClient(
        bootstrap_servers=brokers,
        client_id=client_id,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
    try:
        async with answered(timeout_s):
            await start_whole(client.bootstrap())
        yield client
    finally:
        with suppress(KafkaError, OSError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await client.close()


async def open_transactions(client: AIOKafkaClient, transactional_ids: Sequence[str]) -> Transactions:
    """Producers with these ids; every older producer of one is fenced and its transaction ended.

    Raises KafkaError. It tries for as long as that can help: bound it.
    """
    answer = await client.send(client.get_random_node(), ApiVersions())
    producers = [await _init(client, each) for each in transactional_ids]
    return Transactions(client, producers, transaction_version(answer))


async def _init(client: AIOKafkaClient, transactional_id: str) -> _Producer:
    while True:
        try:
            coordinator = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            answer = await client.send(coordinator, InitProducerIdRequest(transactional_id, _TRANSACTION_TIMEOUT_MS))
            if (error := for_code(answer.error_code)) is not NoError:
                raise error()
            return _Producer(transactional_id, coordinator, answer.producer_id, answer.producer_epoch)
        except KafkaError as error:
            if not isinstance(error, _PASSING):
                raise
        await client.force_metadata_update()
        await asyncio.sleep(_PAUSE_S)
