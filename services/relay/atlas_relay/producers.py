"""Opening a producer, and getting rid of one that is broken without waiting for what it will never deliver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, KafkaError, kafka_errors
from aiokafka.producer import sender
from atlas_kafka.starting import start_whole

_REQUEST_TIMEOUT_MS = 10_000
# A relay that dies without a successor holds up read-committed consumers for this long.
_TRANSACTION_TIMEOUT_MS = 15_000
# Also the pause between attempts to initialise a producer whose predecessor's transaction is still being ended.
_RETRY_BACKOFF_MS = 50
_STOP_TIMEOUT_S = 0.5
# A transaction can begin only when the markers of the one before are written, a millisecond or two after its commit was
# answered. aiokafka looks again after 20 ms, which was most of the time that a record took.
_BETWEEN_TRANSACTIONS_S = 0.001


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """The broker's validation refused a record. aiokafka 0.14 does not know this code."""

    errno = 87
    message = "INVALID_RECORD"
    description = "This record has failed the validation on broker and hence be rejected."


class ProducerGone(Exception):
    """What the batches that a discarded producer still holds are told."""


@asynccontextmanager
async def open_producer(
    brokers: str, client_id: str, transactional_id: str | None, timeout_s: float
) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer. With a transactional id, every older producer of that id is fenced and its transaction ended.

    Raises KafkaError or TimeoutError when that takes more than `timeout_s`. It is discarded on the way out: send and
    wait first.
    """
    sender.BACKOFF_OVERRIDE = _BETWEEN_TRANSACTIONS_S
    kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        transactional_id=transactional_id,
        transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
    )
    try:
        async with asyncio.timeout(timeout_s):
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
