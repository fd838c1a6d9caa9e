"""Producing: many callers, a result for each record, and no refusal that outlives the record it is about.

Why not aiokafka's producer: it counts a batch's sequence numbers before the broker has taken it, and does not take
them back. After one refusal the broker refuses all that follows on that partition, as out of order, until the process
ends. Here its client is used, and a batch's number counts once it is taken (see `partition_queue`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal

import structlog
from aiokafka import AIOKafkaClient
from aiokafka.errors import (
    KafkaError,
    ProducerClosed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from atlas_errors.policy import Transient, describe
from atlas_kafka_format.partitioning import partition_for

from atlas_kafka.producing.calls import Call, Results
from atlas_kafka.producing.dispatch import Dispatcher
from atlas_kafka.producing.outgoing import RECORD_MAX_BYTES, Delivery, Outgoing, RecordTooLarge, size_of
from atlas_kafka.producing.partition_queue import WITHHELD_S, Identity, PartitionQueue
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_producer

__all__ = [
    "Delivery",
    "Outgoing",
    "Producer",
    "RecordTooLarge",
    "open_producer",
    "send_all",
    "send_one",
]

_REQUEST_TIMEOUT_MS = 10_000
# Of the ten seconds that a service has to stop.
CLOSE_TIMEOUT_S = 2.0
_LOOK_AGAIN_S = 0.05
_CODECS = {None: 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

log = structlog.get_logger(__name__)


class Producer:
    """Sends for many callers at once, idempotently and with acks=all; nobody waits for a batch to fill.

    What a broker refuses is the answer of the records that it is about: others of the same batch are sent, in order,
    once. Records for a topic that is missing wait a few seconds for it; those for others don't wait for them.
    """

    def __init__(self, client: AIOKafkaClient, compression: int = 0) -> None:
        self.client = client
        self._compression = compression
        self._dispatcher = Dispatcher(client)
        self._identity: Identity | None = None
        self._queues: dict[tuple[str, int], PartitionQueue] = {}
        self._tracked: set[str] = set()
        self._missing: set[str] = set()
        self._calls: set[Call] = set()
        self._learning: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Connect, and become known to the brokers. Raises KafkaError."""
        await self.client.bootstrap()
        self._identity = await self._dispatcher.identify()

    async def send_all(self, records: Sequence[Outgoing]) -> Results:
        """A result for each record, in order: where it is, or why it is not there.

        Records of one caller for one partition keep their order. While brokers are away records wait for as long as
        that lasts: whoever sends bounds his own patience. Cancelled, what is not under way is not sent any more.
        """
        if self._closed:
            raise ProducerClosed
        if not records:
            return []
        call = Call(records)
        self._calls.add(call)
        by_topic: dict[str, list[int]] = {}
        for index, record in enumerate(records):
            by_topic.setdefault(record.topic, []).append(index)
        learning = [
            asyncio.create_task(self._learn_and_add(call, topic, indexes))
            for topic, indexes in by_topic.items()
            if not self._add(call, topic, indexes)
        ]
        self._learning.update(learning)
        try:
            return await call.done
        except asyncio.CancelledError:
            call.dropped = True
            for task in learning:
                task.cancel()
            raise
        finally:
            self._learning.difference_update(learning)
            self._calls.discard(call)

    async def close(self) -> None:
        """Send what waits; while brokers are away, give it up after CLOSE_TIMEOUT_S."""
        self._closed = True
        if waiting := [call.done for call in self._calls]:
            await asyncio.wait(waiting, timeout=CLOSE_TIMEOUT_S)
        if unsent := [call for call in self._calls if not call.done.done()]:
            log.warning("kafka producer not flushed", after_s=CLOSE_TIMEOUT_S, calls=len(unsent))
        self._dispatcher.cancel()
        for task in self._learning:
            task.cancel()
        for call in unsent:
            call.fail(Transient("the producer was closed"))
        with suppress(KafkaError, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.client.close()

    def _add(self, call: Call, topic: str, indexes: Sequence[int]) -> bool:
        """Queue the records of a topic; False when it is not known yet how many partitions it has."""
        partitions = self.client.cluster.partitions_for_topic(topic)
        # A client that tracks nothing knows all topics, until it tracks another one.
        if not partitions or topic not in self._tracked:
            return False
        count, touched = len(partitions), set()
        for index in indexes:
            record = call.records[index]
            partition = record.partition
            if partition is None:
                partition = partition_for(record.key, count) if record.key is not None else 0
            elif partition not in partitions:
                reason = f"{topic} has {count} partitions, and no {partition}"
                call.settle(index, UnknownTopicOrPartitionError(reason))
                continue
            if (size := size_of(record)) > RECORD_MAX_BYTES:
                call.settle(index, RecordTooLarge(size, RECORD_MAX_BYTES))
                continue
            queue = self._queues.get((topic, partition)) or self._new_queue(topic, partition)
            queue.add((call, index))
            touched.add(queue)
        for queue in touched:
            self._dispatcher.schedule(queue)
        return True

    def _new_queue(self, topic: str, partition: int) -> PartitionQueue:
        queue = PartitionQueue(topic, partition, self._identity, self._compression)
        self._queues[topic, partition] = queue
        return queue

    async def _learn_and_add(self, call: Call, topic: str, indexes: Sequence[int]) -> None:
        try:
            await self._learn(topic)
            self._add(call, topic, indexes)
        except Exception as error:  # noqa: BLE001 - becomes the result of each record
            for index in indexes:
                call.settle(index, error)

    async def _learn(self, topic: str) -> None:
        """Ask for the topic until there is one; not for long, and only once where it was missing already."""
        give_up_at = time.monotonic() + (0.0 if topic in self._missing else WITHHELD_S)
        while True:
            self._tracked.add(topic)
            self.client.add_topic(topic)
            answered = await self.client.force_metadata_update()
            cluster = self.client.cluster
            if cluster.partitions_for_topic(topic):
                self._missing.discard(topic)
                return
            if topic in cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(topic)
            if answered and time.monotonic() >= give_up_at:
                self._missing.add(topic)
                self._tracked.discard(topic)
                self.client.set_topics(self._tracked)  # else it would be asked for, in vain, every few seconds
                raise UnknownTopicOrPartitionError(f"there is no topic {topic}")
            await asyncio.sleep(_LOOK_AGAIN_S)


@asynccontextmanager
async def open_producer(
    brokers: str,
    client_id: str,
    *,
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncIterator[Producer]:
    """A started producer. Waits, backing off, for brokers that are not up yet, until `stop` is set.

    Closes within a few seconds even when they are away.
    """

    def make() -> Producer:
        client = AIOKafkaClient(
            bootstrap_servers=brokers,
            client_id=client_id,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        return Producer(client, _CODECS[compression])

    producer = await start_producer(make, Producer.close, stop)
    try:
        yield producer
    finally:
        await producer.close()


async def send_one(producer: Producer, record: Outgoing) -> Delivery:
    """Where the record is. Raises RecordRefused or RecordTooLarge when it can never be there as it is, and Transient
    when it may be later: brokers are away, its topic is missing, or may not be written to for now.
    """
    (result,) = await producer.send_all([record])
    if isinstance(result, KafkaError):
        raise Transient(f"{record.topic}: {describe(result)}") from result
    if isinstance(result, Exception):
        raise result
    return result


async def send_all(producer: Producer, records: Sequence[Outgoing]) -> Results:
    """As `Producer.send_all`."""
    return await producer.send_all(records)
