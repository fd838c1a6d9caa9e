"""Where a rebuild reads from: anything that gives the records between two positions."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_archive.format.records import Incoming
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.fetching.lightrecords import give_light_records
from atlas_kafka.internals.client import client_of

Positions = Mapping[TopicPartition, int]


# What is read of a record, whether Kafka or the archive gave it; the archive takes in the same.
Record = Incoming


class Waited(NamedTuple):
    """A record that had been parked."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


Batches = AsyncIterator[Mapping[TopicPartition, Sequence[Record]]]

MAX_RECORDS = 2500
# A topic often ends in a transaction's marker. The consumer passes over it and goes on waiting, so the position is
# looked at this often.
POLL_MS = 50


class RecordsGone(Exception):
    """The source does not hold every record that the rebuild needs."""


def from_offset(batch: Sequence[Record], offset: int) -> Sequence[Record]:
    """Those at or after the offset, of records in offset order."""
    if not batch or batch[0].offset >= offset:
        return batch
    return [record for record in batch if record.offset >= offset]


Placed = tuple[TopicPartition, Record]


def by_partition(placed: Iterable[Placed]) -> dict[TopicPartition, list[Record]]:
    """The same, in their order, a list a partition."""
    batches: dict[TopicPartition, list[Record]] = {}
    for tp, record in placed:
        batches.setdefault(tp, []).append(record)
    return batches


class Source(Protocol):
    """Records of some partitions by offset."""

    async def partitions(self) -> frozenset[TopicPartition]:
        """Every partition there is."""

    async def incarnations(self) -> Mapping[str, str]:
        """Kafka's id of each topic that there is."""

    async def former(self) -> Sequence[str]:
        """Those topics of which it is known that another one had the name before, whose records are not read here."""

    def read(self, start: Positions, until: Positions) -> Batches:
        """The records from `start` up to, not including, `until`, in order a partition. Raises RecordsGone."""


class TopicSource:
    """The topics themselves, read without a group: nothing is committed, no member is disturbed."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: tuple[str, ...]) -> None:
        self._consumer = consumer
        self._topics = topics

    async def partitions(self) -> frozenset[TopicPartition]:
        """Every partition of the topics, as the brokers know them now."""
        return frozenset(await self.ranges())

    async def ranges(self) -> Mapping[TopicPartition, tuple[int, int]]:
        """First and end offset of every partition."""
        return await topic_ranges(self._consumer, self._topics)

    async def incarnations(self) -> Mapping[str, str]:
        """Kafka's id of each topic."""
        return await topic_ids(client_of(self._consumer), self._topics)

    async def former(self) -> Sequence[str]:
        """None: a broker knows nothing of a topic that was deleted."""
        return ()

    async def read(self, start: Positions, until: Positions) -> Batches:
        """See Source. A partition has ended when the consumer's position is at `until`, whatever is there."""
        consumer = self._consumer
        waiting = {partition for partition, end in until.items() if start.get(partition, 0) < end}
        if not waiting:
            return
        ranges = await self.ranges()
        for partition in waiting:
            _check_held(partition, ranges.get(partition, (0, 0)), start.get(partition, 0), until[partition])
        consumer.assign(list(waiting))
        for partition in waiting:
            consumer.seek(partition, start.get(partition, 0))
        while waiting:
            batches = await consumer.getmany(*waiting, timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            wanted = {
                partition: [record for record in records if record.offset < until[partition]]
                for partition, records in batches.items()
            }
            waiting = {partition for partition in waiting if await consumer.position(partition) < until[partition]}
            if any(wanted.values()):
                yield wanted


def _check_held(partition: TopicPartition, held: tuple[int, int], start: int, until: int) -> None:
    first, end = held
    place = f"{partition.topic}/{partition.partition}"
    if first > start:
        raise RecordsGone(
            f"{place} begins at offset {first} and the rebuild needs it from {start}: retention deleted the records"
            " between, and the archive does not have them either"
        )
    if end < until:
        raise RecordsGone(f"{place} ends at offset {end}, the live rows are of {until}: the topic was made anew")


@asynccontextmanager
async def open_topic_source(brokers: str, topics: tuple[str, ...], client_id: str) -> AsyncIterator[TopicSource]:
    """A topic source with a consumer of its own."""
    async with open_reader(brokers, client_id) as consumer:
        give_light_records(consumer)
        yield TopicSource(consumer, topics)
