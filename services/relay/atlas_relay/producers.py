"""Opening a producer, and getting rid of one that is broken without waiting for what it will never deliver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, kafka_errors
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole

from atlas_relay.delivery import InvalidRecordError
from atlas_relay.waiting import answered

_REQUEST_TIMEOUT_MS = 10_000
_RETRY_BACKOFF_MS = 50
_STOP_TIMEOUT_S = 0.5


class ProducerGone(Exception):
    """What the batches that a discarded producer still holds are told."""


@asynccontextmanager
async def open_producer(brokers: str, client_id: str, timeout_s: float) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer, idempotent.

    Raises KafkaError, or Transient when that takes more than `timeout_s`. It is discarded on the way out: send and
    wait first.
    """
    kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
    try:
        async with answered(timeout_s):
            await start_whole(producer.start())
        yield producer
    finally:
        await _discard(producer)


async def _discard(producer: AIOKafkaProducer) -> None:
    # stop() flushes, and an idempotent producer retries for ever: whatever is still queued must fail first.
    producer._message_accumulator.fail_all(ProducerGone("the producer was discarded"))
    sender_task = producer._sender.sender_task
    # Of any kind: stop() raises what the sender ended with, a KeyError where that wants to queue a failed batch again.
    with suppress(Exception):
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await producer.stop()
            return
    # The sender waits for an answer that does not come, or stop() did not get as far as the connections.
    if sender_task is not None:
        sender_task.cancel()
    with suppress(KafkaError, OSError):
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await producer.client.close()
