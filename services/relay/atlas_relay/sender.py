"""The Kafka side of a lane: sending a batch, exactly once or at least once, and telling whether one was sent.

After any error the sender is spent: its producer's state is unknown, and only a new one can tell.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnsupportedForMessageFormatError,
)
from atlas_kafka.fates import Transient, describe
from atlas_outbox.sent import Row, Sent

from atlas_relay.marks import ids_of_sender, last_marks, mark_of, partition_of, settle, tombstone_of
from atlas_relay.producers import InvalidRecordError, ProducerGone, open_producer
from atlas_relay.protocol import Caution, Refused
from atlas_relay.splice import SplicedBatch, ids_of, pack
from atlas_relay.topics import Topics

# The broker's answer is about the records: sending them again can't help.
_REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidRecordError,
    InvalidTimestampError,
    InvalidTopicError,
    CorruptRecordException,
    PolicyViolationError,
    TopicAuthorizationFailedError,
    UnsupportedForMessageFormatError,
)
_SIZE_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError)
Parcels = Mapping[TopicPartition, Sequence[SplicedBatch]]


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """Where a lane sends, and how its senders' names begin; at least once they need none."""

    brokers: str
    client_id: str
    exactly_once: bool
    progress_topic: str
    timeout_s: float


class Sender:
    """Sends batches; transactions with several producers in turn.

    When the brokers have answered a commit they still have its markers to write, and the same producer's next
    transaction can't begin before they have. `name` is None at least once; no other sender ever has the same.
    """

    def __init__(
        self,
        config: SenderConfig,
        name: str | None,
        producers: Sequence[AIOKafkaProducer],
        topics: Topics,
        caution: Caution,
    ) -> None:
        self._config = config
        self.name = name
        self._producers = deque(producers)
        self._topics = topics
        self._caution = caution

    @property
    def _producer(self) -> AIOKafkaProducer:
        """The one whose turn it is."""
        return self._producers[0]

    async def fault(self) -> str | None:
        """Why nothing could be sent just now, as far as asking the brokers for metadata can tell."""
        return None if await self._producer.client.force_metadata_update() else "no broker answers"

    async def learn(self, topics: Collection[str]) -> None:
        """See Topics.learn."""
        await self._topics.learn(self._producer.client, topics)

    def forget_missing(self) -> None:
        """See Topics.forget_missing."""
        self._topics.forget_missing()

    def suspects(self, rows: Sequence[Row]) -> bool:
        """Whether there may be a reason against any of them: quicker than to ask for each."""
        return bool(self._caution.condemned) or self._topics.suspects(rows)

    def reason_against(self, row: Row) -> str | None:
        """Why the row must not be sent, or None."""
        return self._caution.condemned.get(row[1]) or self._topics.reason_against(row)

    async def last_marks(self, senders: Collection[str]) -> list[Sent]:
        """What these senders sent last; what they had under way has ended by then, and they can send no more."""
        with _faults_of_kafka():
            await settle(self._config.brokers, senders, self._config.timeout_s)
            return await last_marks(self._config.brokers, self._config.progress_topic, senders)

    async def forget_marks(self, senders: Collection[str]) -> None:
        """Let the marks of these senders be removed: nobody will ask for them."""
        parcels: dict[TopicPartition, list[SplicedBatch]] = {}
        for sender in senders:
            tombstone = tombstone_of(sender, transactional=self.name is not None)
            parcels.setdefault(partition_of(self._config.progress_topic, sender), []).append(tombstone)
        await self._deliver(parcels)

    async def send(self, rows: Sequence[Row], sent: Sequence[Sent]) -> None:
        """Send the rows; exactly once in one transaction with a mark that lists `sent`.

        Raises Refused when the broker refuses records, Transient when it is unknown what became of them.
        """
        parcels = self._parcels(rows)
        if self.name is not None:
            parcels[partition_of(self._config.progress_topic, self.name)] = [mark_of(self.name, sent)]
        await self._deliver(parcels)

    async def _deliver(self, parcels: Parcels) -> None:
        try:
            with _faults_of_kafka():
                async with asyncio.timeout(self._config.timeout_s):
                    if self.name is None:
                        await self._send_in_turn(parcels)
                    else:
                        await self._send_transaction(parcels)
        except TimeoutError:
            raise Transient(f"Kafka did not take a batch within {self._config.timeout_s:g} s") from None

    async def _send_transaction(self, parcels: Parcels) -> None:
        """1. begin; 2. records and mark, each acknowledged; 3. commit."""
        await self._producer.begin_transaction()  # 1
        for target in parcels:  # all of them before the first record, so that the coordinator is asked once
            self._producer._txn_manager.maybe_add_partition_to_txn(target)
        outcomes = await asyncio.gather(*(self._enqueue(*parcel) for parcel in parcels.items()))  # 2
        # Each must be looked at: a commit does not fail because a batch of the transaction did.
        self._raise_failures([outcome for parcel in outcomes for outcome in parcel], delivered=())
        await self._producer.commit_transaction()  # 3
        self._producers.rotate()

    async def _send_in_turn(self, parcels: Parcels) -> None:
        """Send each partition's batches one after the other: what follows a refused one must not overtake it."""

        async def send(target: TopicPartition, batches: Sequence[SplicedBatch]) -> list[_Outcome]:
            outcomes: list[_Outcome] = []
            for batch in batches:
                outcomes += await self._enqueue(target, [batch])
                if outcomes[-1].error is not None:
                    break
            return outcomes

        done = await asyncio.gather(*(send(*parcel) for parcel in parcels.items()))
        outcomes = [outcome for parcel in done for outcome in parcel]
        self._raise_failures(outcomes, delivered=ids_of([o.batch for o in outcomes if o.error is None]))

    async def _enqueue(self, target: TopicPartition, batches: Sequence[SplicedBatch]) -> "list[_Outcome]":
        """Hand the batches to the producer in order and wait for the answer to each."""
        futures = []
        for batch in batches:
            try:
                future = await self._producer.send_batch(batch, target.topic, partition=target.partition)
            except Exception as error:  # noqa: BLE001 - becomes this batch's outcome
                futures.append(_failed(error))
                break
            futures.append(future)
        answers = await asyncio.gather(*futures, return_exceptions=True)
        return [
            _Outcome(target, batch, answer if isinstance(answer, BaseException) else None)
            for batch, answer in zip(batches, answers, strict=False)
        ]

    def _raise_failures(self, outcomes: "Sequence[_Outcome]", delivered: Sequence[int]) -> None:
        """Refusals first: after one, the partition's later batches fail too, for their sequence numbers."""
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        refused = []
        for outcome in failed:
            topic, error, batch = outcome.target.topic, outcome.error, outcome.batch
            if isinstance(error, _REFUSALS) and topic != self._config.progress_topic:
                if isinstance(error, _SIZE_REFUSALS) and len(batch.ids) > 1:
                    self._caution.too_large(topic, batch.bytes)
                refused.append((batch.ids, describe(error)))
        if refused:
            raise Refused(refused, delivered)
        for outcome in failed:
            raise Transient(f"Kafka: {outcome.target.topic}: {outcome.error!r}")

    def _parcels(self, rows: Sequence[Row]) -> dict[TopicPartition, list[SplicedBatch]]:
        """The rows' batches by partition."""
        now_ms, transactional = time.time_ns() // 1_000_000, self.name is not None
        cluster = self._producer.client.cluster
        return pack(
            rows,
            lambda topic: len(cluster.partitions_for_topic(topic)),
            wire_bytes=self._caution.wire_bytes,
            wire_rows=self._caution.wire_rows,
            new_batch=lambda: SplicedBatch(now_ms, transactional=transactional),
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    target: TopicPartition
    batch: SplicedBatch
    error: BaseException | None


@contextmanager
def _faults_of_kafka() -> Iterator[None]:
    """Raise what Kafka's client reports as Transient."""
    try:
        yield
    except (KafkaError, ProducerGone, AssertionError) as error:
        # AssertionError: how aiokafka reports a transaction in the wrong state.
        raise Transient(f"Kafka: {describe(error)}") from error


async def _failed(error: Exception) -> None:
    raise error


@asynccontextmanager
async def open_sender(config: SenderConfig, topics: Topics, caution: Caution) -> AsyncIterator[Sender]:
    """A sender with new producers and a new name."""
    # A name is used once: whoever fences it may rely on it that nobody ever sends with it again.
    name = f"{config.client_id}-{secrets.token_hex(4)}" if config.exactly_once else None
    ids = [None] if name is None else ids_of_sender(name)
    try:
        async with AsyncExitStack() as stack:
            producers = [
                await stack.enter_async_context(open_producer(config.brokers, config.client_id, each, config.timeout_s))
                for each in ids
            ]
            yield Sender(config, name, producers, topics, caution)
    except KafkaError as error:
        raise Transient(f"Kafka: {describe(error)}") from error
