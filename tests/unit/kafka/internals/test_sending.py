"""Batches of a producer of transactions are kept however old they get, and given up when they have to be."""

import asyncio
import gc
import math
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from atlas_kafka.internals.sending import give_up_batches, keep_batches

TP = TopicPartition("t", 0)


async def test_a_batch_is_kept_however_old_it_gets() -> None:
    producer = AIOKafkaProducer()
    assert producer._message_accumulator._batch_ttl < math.inf
    keep_batches(producer)
    builder = producer.create_batch()
    builder.append(timestamp=1, key=None, value=b"v", headers=[])
    batch = producer._message_accumulator._append_batch(builder, TP)
    assert batch._ttl == math.inf
    assert not batch.expired()
    give_up_batches(producer, ValueError("given up"))
    with pytest.raises(ValueError, match="given up"):
        await batch.future
    await producer.stop()


async def test_nothing_of_what_is_given_up_is_logged_as_lost() -> None:
    lost: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    producer = AIOKafkaProducer()
    delivery = await producer._message_accumulator.add_message(TP, None, b"v", 1.0)
    give_up_batches(producer, ValueError("given up"))
    with pytest.raises(ValueError, match="given up"):
        await delivery
    await producer.stop()
    del producer, delivery
    gc.collect()
    assert lost == []


async def test_sending_ends() -> None:
    producer = AIOKafkaProducer()
    assert producer._sender.sender_task is None
    give_up_batches(producer, ValueError("nothing waits"))
    producer._sender._sender_task = asyncio.create_task(asyncio.Event().wait())
    give_up_batches(producer, ValueError("nothing waits"))
    with pytest.raises(asyncio.CancelledError):
        await producer._sender.sender_task
    producer._sender._sender_task = None  # it was never started: nothing is to be waited for
    await producer.stop()
