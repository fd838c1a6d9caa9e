"""Reads ranges of live topics for `atlas archive verify`.

Batches are taken apart by the archive's own code, not by the consumer's: so names of headers, offsets and batches that
are too large are compared as the bytes that they are.
"""

import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from operator import attrgetter

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from atlas_archive.format.records import Record
from atlas_archive.proof.reports import LiveTopic
from atlas_archive.writing.batches import unpack
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.fetching.rawbatches import give_batches
from atlas_kafka.starting import start_whole

from atlas_cli.terminal.faults import START_IT, hush_structlog
from atlas_cli.terminal.output import CommandError

# A range often ends in a transaction's marker. The consumer passes over it and goes on waiting for records, so the
# position is looked at this often.
_LOOK_EVERY_MS = 20
_PATIENCE_S = 30.0  # without a step of the position: the broker has stopped answering
_BATCHES = 16  # taken apart at a time: each may hold 64 MB
_offset = attrgetter("offset")


class LiveTopicReader:
    """`atlas_archive.proof.reports.TopicReader` over a cluster; keeps one consumer a partition from range to range."""

    def __init__(self, brokers: str, client: AIOKafkaClient, admin: AIOKafkaAdminClient, stack: AsyncExitStack) -> None:
        self._brokers = brokers
        self._client = client
        self._admin = admin
        self._stack = stack
        self._consumers: dict[TopicPartition, AIOKafkaConsumer] = {}
        # What came beyond the last range, and where that ended: ranges are often small, and one follows the other.
        self._ahead: dict[TopicPartition, tuple[int, list[Record]]] = {}
        self._asking: AIOKafkaConsumer | None = None

    async def describe(self, topic: str) -> LiveTopic | None:
        ids = await topic_ids(self._client, [topic])
        if topic not in ids:
            return None
        if self._asking is None:
            self._asking = await self._stack.enter_async_context(open_reader(self._brokers, "atlas-verify"))
        ranges = await topic_ranges(self._asking, [topic])
        bounds = {tp.partition: bounds for tp, bounds in ranges.items()}
        return LiveTopic(ids[topic], bounds, await self._is_compacted(topic))

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Sequence[Record]]:
        tp = TopicPartition(topic, partition)
        if tp not in self._consumers:
            self._consumers[tp] = await self._stack.enter_async_context(open_reader(self._brokers, "atlas-verify"))
            give_batches(self._consumers[tp])
            self._consumers[tp].assign([tp])
        consumer = self._consumers[tp]
        after, batch = self._ahead.pop(tp, (-1, []))
        if after != start:
            consumer.seek(tp, start)
            batch = []
        position, moved = start, time.monotonic()
        while position < stop:
            if not batch:
                found = await consumer.getmany(tp, timeout_ms=_LOOK_EVERY_MS, max_records=_BATCHES)
                batch = [record for part in found.get(tp, []) for record in unpack(part)]
            inside = batch[: bisect_left(batch, stop, key=_offset)]
            if inside:
                yield inside
            if len(inside) < len(batch):
                self._ahead[tp] = stop, batch[len(inside) :]
                return
            batch = []
            reached = await consumer.position(tp)  # goes on past what is no record, such as a transaction's marker
            if reached > position:
                position, moved = reached, time.monotonic()
            elif time.monotonic() - moved > _PATIENCE_S:
                raise CommandError(f"{topic}/{partition} gives nothing from offset {position} on")

    async def _is_compacted(self, topic: str) -> bool:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"cleanup.policy": None})
        for response in await self._admin.describe_configs([resource]):
            for _code, _message, _type, _name, entries in response.resources:
                return any(entry[0] == "cleanup.policy" and "compact" in (entry[1] or "") for entry in entries)
        return False


@asynccontextmanager
async def open_topic_reader(brokers: str) -> AsyncIterator[LiveTopicReader]:
    """CommandError when no broker answers."""
    async with AsyncExitStack() as stack:
        client = AIOKafkaClient(bootstrap_servers=brokers)
        admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
        stack.push_async_callback(client.close)
        stack.push_async_callback(admin.close)
        hush_structlog()
        try:
            await start_whole(client.bootstrap())
            await start_whole(admin.start())
            yield LiveTopicReader(brokers, client, admin, stack)
        except KafkaError as error:
            raise CommandError(f"Kafka {brokers}: {error}; {START_IT}") from None
