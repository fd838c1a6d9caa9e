"""The accumulator and the sender of a producer of transactions."""

import math

from aiokafka import AIOKafkaProducer


def keep_batches(producer: AIOKafkaProducer) -> None:
    """From now on no batch is given up for its age.

    aiokafka gives up a batch that has waited for ten seconds for a partition's leader, but does not take back its
    sequence numbers: from then on the broker refuses everything for that partition as out of order. No setting says so
    without raising the timeout of each request too.
    """
    producer._message_accumulator._batch_ttl = math.inf


def give_up_batches(producer: AIOKafkaProducer, error: Exception) -> None:
    """Fail with `error` what waits to be sent, and stop sending.

    `producer.stop` flushes first, which an idempotent producer does not end while brokers are away.
    """
    accumulator = producer._message_accumulator
    accumulator.fail_all(error)
    for batches in accumulator._batches.values():
        for batch in batches:
            # Who waits until the batch is sent has the error. Mostly nobody does, and asyncio would log it as lost.
            batch._drain_waiter.exception()
    if (sending := producer._sender.sender_task) is not None:
        sending.cancel()
