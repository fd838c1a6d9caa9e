"""Progress marks: one record a group and batch in a compacted topic, in the transaction of the batch's records.

The partition is the group, and only a group's owner ever writes to it; so once that owner's producers are settled no
open transaction can hide the end of the partition.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_kafka.admin import TopicSpec
from atlas_kafka.starting import start_whole
from atlas_outbox.batches import Pending
from atlas_outbox.shards import GROUPS

from atlas_relay.producers import open_producer
from atlas_relay.splice import SplicedBatch, mark_batch

# Small segments, because only closed ones are compacted and a recovery reads them all.
_CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(1024 * 1024),
    "segment.ms": str(10 * 60 * 1000),
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "60000",
}
_READ_TIMEOUT_S = 30.0


def progress_topic(name: str) -> TopicSpec:
    """The progress topic as it must be made."""
    return TopicSpec(name, GROUPS, _CONFIG)


def mark_batch_of(group: int, token: UUID) -> SplicedBatch:
    """The record batch that says: this group's batch with this token is on its topics."""
    return mark_batch(group, token.bytes, time.time_ns() // 1_000_000)


def ids_of_sender(name: str) -> list[str]:
    """The transactional ids of the producers that a sender of this name uses in turn."""
    return [name, f"{name}-2"]


async def settle(brokers: str, senders: Collection[str], timeout_s: float) -> None:
    """Fence every producer of these senders and end its transaction: it is committed or it never will be.

    All of a sender's: the markers of a transaction that came before the pending batch's, by another producer, may still
    be missing, and until they are written nothing behind them in the progress topic can be read.
    """

    async def fence(transactional_id: str) -> None:
        async with open_producer(brokers, "atlas-relay-settle", transactional_id, timeout_s):
            pass

    await asyncio.gather(*(fence(transactional_id) for name in senders for transactional_id in ids_of_sender(name)))


async def last_marks(brokers: str, topic: str, groups: Collection[int]) -> dict[int, UUID]:
    """The token of the last committed mark of each group that has one. Settle their producers first."""
    partitions = [TopicPartition(topic, group) for group in sorted(groups)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        client_id="atlas-relay-marks",
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        async with asyncio.timeout(_READ_TIMEOUT_S):
            await start_whole(consumer.start())
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            return await _read_to_end(consumer, partitions)
    finally:
        await consumer.stop()


async def _read_to_end(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[int, UUID]:
    ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
    marks: dict[int, UUID] = {}
    unread = set(partitions)
    while True:
        # The position, not the last record, says how far it got: transactions end with a marker nobody is shown.
        unread = {partition for partition in unread if await consumer.position(partition) < ends[partition]}
        if not unread:
            return marks
        found = await consumer.getmany(*unread, timeout_ms=100)
        for partition, records in found.items():
            if records and records[-1].value is not None:
                marks[partition.partition] = UUID(bytes=records[-1].value)


def settled_by(pending: Sequence[Pending], own: str | None) -> set[str]:
    """The senders to settle, other than the one whose producers have just been initialised."""
    return {batch.transactional_id for batch in pending} - {own}
