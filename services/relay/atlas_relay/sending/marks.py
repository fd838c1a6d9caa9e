"""Progress marks: in the transaction of its records, each batch's sender says which rows it has sent.

A mark is a record of the compacted progress topic; its key is the sender's name, which no other sender ever has, and
only a sender's last mark counts. So a new owner, once it has fenced the sender, learns from one record which rows of
the outbox are on their topics although they are still there.
"""

import asyncio
import zlib
from collections.abc import Collection, Sequence

import structlog
from aiokafka import AIOKafkaClient, AIOKafkaConsumer, TopicPartition
from atlas_kafka.cluster.admin import TopicSpec
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.cluster.transactions import abort_hanging
from atlas_kafka.cluster.transactions import open_transactions as open_in
from atlas_outbox.relaying.sent import Sent, pack_sent, unpack_sent

from atlas_relay.sending.splice import SplicedBatch, lone_batch
from atlas_relay.sending.transactions import open_transactions

log = structlog.get_logger(__name__)

PARTITIONS = 8
# Small segments, because only closed ones are compacted and a recovery reads them all.
_CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(1024 * 1024),
    "segment.ms": str(10 * 60 * 1000),
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "60000",
}
_READ_TIMEOUT_S = 30.0
_CLIENT = "atlas-relay-marks"


def progress_topic(name: str) -> TopicSpec:
    """The progress topic as it must be made."""
    return TopicSpec(name, PARTITIONS, _CONFIG)


def partition_of(topic: str, sender: str) -> TopicPartition:
    """Where the marks of a sender are."""
    return TopicPartition(topic, zlib.crc32(sender.encode()) % PARTITIONS)


def mark_of(sender: str, sent: Sequence[Sent]) -> SplicedBatch:
    """The record batch that says: these are on their topics."""
    return lone_batch(sender.encode(), pack_sent(sent), transactional=True)


def tombstone_of(sender: str, *, transactional: bool) -> SplicedBatch:
    """The record batch that lets compaction remove a sender's marks."""
    return lone_batch(sender.encode(), None, transactional=transactional)


def ids_of_sender(name: str) -> list[str]:
    """The transactional ids of the producers that a sender of this name uses in turn."""
    return [name, f"{name}-2"]


async def settle(client: AIOKafkaClient, senders: Collection[str]) -> None:
    """Fence every producer of these senders, which have others' names, and end its transaction: it is committed or it
    never will be. Raises KafkaError; bound it.
    """
    await open_transactions(client, [each for name in senders for each in ids_of_sender(name)])


async def free(client: AIOKafkaClient, topic: str, senders: Collection[str]) -> None:
    """End what hangs of these senders, which are settled: open in a partition, and known to no coordinator any more.

    Seen after a restart of a broker in the midst of a batch (Kafka 4.3.1): the records were there, the coordinator had
    no transaction to end. Nobody would ever read past them, neither marks nor events. What hangs was never committed,
    so it is aborted wherever it is; its rows are sent again. Raises KafkaError; bound it.
    """
    ids = {each for name in senders for each in ids_of_sender(name)}
    at_marks = await open_in(client, {partition_of(topic, sender) for sender in senders})
    if not any(each.hanging and each.transactional_id in ids for each in at_marks.values()):
        return
    metadata = await client.fetch_all_metadata()
    numbers = {name: metadata.partitions_for_topic(name) or () for name in metadata.topics()}
    everywhere = [TopicPartition(name, number) for name, those in numbers.items() for number in those]
    for place, each in (await open_in(client, everywhere)).items():
        if each.hanging and each.transactional_id in ids:
            log.warning("a transaction hangs, and is aborted", partition=str(place), sender=each.transactional_id)
            await abort_hanging(client, place, each)


async def last_marks(brokers: str, topic: str, senders: Collection[str]) -> list[Sent]:
    """What the last committed marks of these senders say. Settle them first."""
    partitions = sorted({partition_of(topic, sender) for sender in senders})
    async with (
        asyncio.timeout(_READ_TIMEOUT_S),
        open_reader(brokers, _CLIENT, read_committed=False) as to_the_end,
        open_reader(brokers, _CLIENT) as consumer,
    ):
        # Not the last stable offset: another sender's transaction that is open there must end before ours can be read.
        ends = await to_the_end.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found = await _read_to(consumer, ends)
    values = [found.get(sender.encode()) for sender in senders]
    return [sent for value in values if value is not None for sent in unpack_sent(value)]


async def _read_to(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> dict[bytes, bytes | None]:
    """The last value of each key before the ends."""
    marks: dict[bytes, bytes | None] = {}
    unread = set(ends)
    while True:
        # The position, not the last record, says how far it got: transactions end with a marker nobody is shown.
        unread = {partition for partition in unread if await consumer.position(partition) < ends[partition]}
        if not unread:
            return marks
        for records in (await consumer.getmany(*unread, timeout_ms=100)).values():
            marks |= {record.key: record.value for record in records}
