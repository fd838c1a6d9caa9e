"""Kafka transactions of one request each for records and commit, over a client of aiokafka.

After an error nothing is tried again here: after a refusal the transaction is aborted; after any other error it is left
open, whoever fences its producer ends it, and whether it was committed is known by its mark. That is why this is so
much less than a producer that serves everybody.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaClient, TopicPartition
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
)
from atlas_kafka.internals.client import CoordinationType
from atlas_kafka.internals.protocol import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, Request
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole
from atlas_kafka.wire.produce import Batches, Produce, ProduceInTransaction
from atlas_kafka.wire.second_transactions import ApiVersions, EndTransaction, transaction_version

from atlas_relay.sending.delivery import Outcome, Parcels
from atlas_relay.sending.produce import (
    BETWEEN_TRANSACTIONS_S,
    PAUSE_S,
    REQUEST_TIMEOUT_MS,
    Missing,
    Producer,
    look_again,
    offer,
)
from atlas_relay.sending.splice import SplicedBatch
from atlas_relay.waiting import answered

_CLOSE_TIMEOUT_S = 0.5
# A relay that dies without a successor holds up read-committed consumers for this long.
_TRANSACTION_TIMEOUT_MS = 15_000
_PASSING = (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NodeNotReadyError,
    NotCoordinatorError,
)
# The markers before are not written, or the broker does not know the partition yet.
_TOO_EARLY = (ConcurrentTransactions, NotLeaderForPartitionError, UnknownTopicOrPartitionError)
_SECOND_VERSION = 2


@dataclass(slots=True)
class TransactionalProducer(Producer):
    """One transactional id. Its sequence numbers go on over transactions of the first version; in the second each has
    an epoch of its own, in which they begin anew.
    """

    transactional_id: str = ""
    coordinator: int = -1


class Transactions:
    """Transactional producers of one client that take turns, one transaction at a time.

    When the brokers have answered a commit they still have its markers to write, and the same producer's next
    transaction can't begin before they have.
    """

    def __init__(self, client: AIOKafkaClient, producers: Sequence[TransactionalProducer], version: int) -> None:
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
                # Left open it would hold up whoever reads the marks, until it is timed out or fenced.
                with suppress(KafkaError):
                    await self._end(producer, commits=False)
                return outcomes
        await self._commit(producer)  # 3
        self._producers.rotate()
        return outcomes

    async def _add_partitions(self, producer: TransactionalProducer, targets: Sequence[TopicPartition]) -> None:
        topics: dict[str, list[int]] = defaultdict(list)
        for topic, partition in targets:
            topics[topic].append(partition)
        request = AddPartitionsToTxnRequest(
            producer.transactional_id, producer.id, producer.epoch, list(topics.items())
        )
        missing = Missing()
        while True:
            answer = await self.client.send(producer.coordinator, request)
            codes = {for_code(code) for _topic, partitions in answer.errors for _partition, code in partitions}
            errors = codes - {NoError, OperationNotAttempted}
            if not errors:
                return
            for error in errors:
                if not issubclass(error, _TOO_EARLY):
                    raise error()
            if errors == {ConcurrentTransactions}:
                await asyncio.sleep(BETWEEN_TRANSACTIONS_S)
            elif await look_again(self.client) and any(missing.is_gone(self.client, target) for target in targets):
                raise UnknownTopicOrPartitionError

    async def _produce(
        self, producer: TransactionalProducer, batches: Mapping[TopicPartition, SplicedBatch]
    ) -> list[Outcome]:
        """One batch a partition."""
        packed = {target: producer.stamp(target, batch) for target, batch in batches.items()}
        answers = await offer(self.client, packed, lambda topics: self._request(producer.transactional_id, topics))
        return [Outcome(target, batch, answers[target]) for target, batch in batches.items()]

    def _request(self, transactional_id: str, topics: Batches) -> Request[Any]:
        if self._second_version:
            return ProduceInTransaction(transactional_id, REQUEST_TIMEOUT_MS, topics)
        return Produce(REQUEST_TIMEOUT_MS, topics, transactional_id)

    async def _commit(self, producer: TransactionalProducer) -> None:
        await self._end(producer, commits=True)

    async def _end(self, producer: TransactionalProducer, *, commits: bool) -> None:
        names = (producer.transactional_id, producer.id, producer.epoch)
        request = EndTransaction(*names, commits) if self._second_version else EndTxnRequest(*names, commits)
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
    client = AIOKafkaClient(
        bootstrap_servers=brokers,
        client_id=client_id,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
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


async def _init(client: AIOKafkaClient, transactional_id: str) -> TransactionalProducer:
    while True:
        try:
            coordinator = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            answer = await client.send(coordinator, InitProducerIdRequest(transactional_id, _TRANSACTION_TIMEOUT_MS))
            if (error := for_code(answer.error_code)) is not NoError:
                raise error()
            return TransactionalProducer(
                answer.producer_id,
                answer.producer_epoch,
                transactional_id=transactional_id,
                coordinator=coordinator,
            )
        except KafkaError as error:
            if not isinstance(error, _PASSING):
                raise
        await client.force_metadata_update()
        await asyncio.sleep(PAUSE_S)
