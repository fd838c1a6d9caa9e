"""Producing in transactions, with aiokafka's producer: for what writes by itself and ends with its first error."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from atlas_errors.policy import Transient
from atlas_kafka_format.partitioning import partition_for

from atlas_kafka.internals.sending import give_up_batches, keep_batches
from atlas_kafka.metrics import outgoing
from atlas_kafka.producing.outgoing import RECORD_MAX_BYTES, Delivery, Outgoing, RecordTooLarge, size_of
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_producer

# One produce request carries a batch a partition; 256 KiB amortises the request without delaying the first record.
BATCH_BYTES = 256 * 1024
# Of the ten seconds that a service has to stop.
CLOSE_TIMEOUT_S = 2.0

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_transactional_producer(
    brokers: str, client_id: str, transactional_id: str, *, stop: asyncio.Event | None = None
) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer of transactions; every older one of this transactional id is fenced.

    Waits, backing off, for brokers that are not up yet, until `stop` is set. What is sent while they are away waits for
    as long as that lasts: whoever sends bounds his own patience. Closes within a few seconds even when they are away.
    After a batch was refused it is spent: abort the transaction, and open another one.
    """

    def make() -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=brokers,
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            transactional_id=transactional_id,
            max_batch_size=BATCH_BYTES,
            max_request_size=RECORD_MAX_BYTES + BATCH_BYTES,
            request_timeout_ms=10_000,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        keep_batches(producer)
        return producer

    producer = await start_producer(make, AIOKafkaProducer.stop, stop)
    try:
        yield producer
    finally:
        await _close(producer)


async def _close(producer: AIOKafkaProducer) -> None:
    """Flush and close; while brokers are away, give up what is still held after CLOSE_TIMEOUT_S.

    stop() flushes, and an idempotent producer retries for ever: without the bound a service could not be stopped
    during an outage.
    """
    with suppress(KafkaError, OSError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await producer.stop()
            return
    log.warning("kafka producer not flushed", after_s=CLOSE_TIMEOUT_S)
    give_up_batches(producer, Transient("the producer was closed"))
    with suppress(KafkaError, OSError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await producer.client.close()


async def send_in_transaction(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> list[Delivery | Exception]:
    """Send every record in the open transaction and wait until each is acknowledged or has failed.

    The answer has one entry a record, in the order given: where it is, or why it is not there. Records of one
    partition keep their order. Packs record batches itself because `send` costs four times as much a record.
    """
    results: list[Delivery | Exception | None] = [None] * len(records)
    groups: dict[tuple[str, int], list[int]] = {}
    partitions: dict[str, int] = {}
    for index, record in enumerate(records):
        partition = record.partition
        if partition is None:
            try:
                count = partitions.get(record.topic) or await _partitions(producer, record.topic)
            except Exception as error:  # noqa: BLE001 - becomes this record's result
                results[index] = error
                continue
            partitions[record.topic] = count
            partition = partition_for(record.key, count) if record.key is not None else 0
        groups.setdefault((record.topic, partition), []).append(index)
    await asyncio.gather(
        *(_send_partition(producer, key, indexes, records, results) for key, indexes in groups.items())
    )
    return [result if result is not None else Transient("the record was not sent") for result in results]


async def _partitions(producer: AIOKafkaProducer, topic: str) -> int:
    return len(producer.client.cluster.partitions_for_topic(topic) or await producer.partitions_for(topic))


async def _send_partition(
    producer: AIOKafkaProducer,
    target: tuple[str, int],
    indexes: Sequence[int],
    records: Sequence[Outgoing],
    results: list[Delivery | Exception | None],
) -> None:
    """Pack the records of one partition into batches, one in flight after the other is queued."""
    now_ms = time.time_ns() // 1_000_000
    waiting: list[tuple[list[int], int, asyncio.Future[Any]]] = []
    builder = producer.create_batch()
    packed: list[int] = []

    async def flush() -> None:
        nonlocal builder, packed
        if packed:
            batch, members = builder, packed
            builder, packed = producer.create_batch(), []
            try:
                future = await producer.send_batch(batch, target[0], partition=target[1])
            except Exception as error:  # noqa: BLE001 - becomes the result of each record of the batch
                for index in members:
                    results[index] = error
            else:
                waiting.append((members, batch.size(), future))

    for index in indexes:
        record = records[index]
        size = size_of(record)
        if size > RECORD_MAX_BYTES:
            results[index] = RecordTooLarge(size, RECORD_MAX_BYTES)
            continue
        timestamp = record.timestamp_ms if record.timestamp_ms is not None else now_ms
        key, value, headers = record.key, record.value, list(record.headers)
        if builder.append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
            await flush()
            builder.append(timestamp=timestamp, key=key, value=value, headers=headers)
        packed.append(index)
    await flush()
    for members, size, future in waiting:
        if await _settle(members, future, target, results):
            outgoing(target[0]).acknowledged(len(members), size)


async def _settle(
    members: Sequence[int],
    future: "asyncio.Future[Any]",
    target: tuple[str, int],
    results: list[Delivery | Exception | None],
) -> bool:
    """Whether the broker has them."""
    try:
        base = (await future).offset
    except Exception as error:  # noqa: BLE001 - becomes the result of each record of the batch
        for index in members:
            results[index] = error
        return False
    for place, index in enumerate(members):
        results[index] = Delivery(target[0], target[1], base + place)
    return True
