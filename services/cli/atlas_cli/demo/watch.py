"""Watching: where the topics end, what the projector and the archiver have committed, how much memory services use."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import committed_offsets, open_reader, topic_ranges

ARCHIVER_GROUP = "archiver"
# Each group with those of its topics that are watched.
Groups = Mapping[str, tuple[str, ...]]
RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Offsets at one moment, summed over partitions: `topic` → end, (`group`, `topic`) → committed."""

    at: float
    ends: Mapping[str, int]
    committed: Mapping[tuple[str, str], int]

    def behind(self, group: str, topic: str) -> int:
        """Offsets between the group's commit and the end of the topic."""
        return max(0, self.ends.get(topic, 0) - self.committed.get((group, topic), 0))


@dataclass
class Watch:
    """Takes snapshots of the topics and groups it was made for, and remembers each service's highest memory."""

    topics: tuple[str, ...]
    groups: Groups
    reader: AIOKafkaConsumer
    admin: AIOKafkaAdminClient
    session: aiohttp.ClientSession
    services: Mapping[str, str]
    peak_rss_mb: dict[str, float] = field(default_factory=dict)

    async def snapshot(self) -> Snapshot:
        """Ask Kafka once, and every service for its memory."""
        ranges = await topic_ranges(self.reader, self.topics)
        ends: dict[str, int] = {}
        for partition, (_, end) in ranges.items():
            ends[partition.topic] = ends.get(partition.topic, 0) + end
        committed: dict[tuple[str, str], int] = {}
        for group, topics in self.groups.items():
            for partition, offset in (await committed_offsets(self.admin, group)).items():
                if partition.topic in topics:
                    key = (group, partition.topic)
                    committed[key] = committed.get(key, 0) + offset
        await asyncio.gather(*(self._memory(name, url) for name, url in self.services.items()))
        return Snapshot(time.monotonic(), ends, committed)

    async def keys(self, topic: str) -> set[bytes]:
        """Every key that is on the topic now."""
        found: set[bytes] = set()
        ranges = await topic_ranges(self.reader, [topic])
        todo = {partition: end for partition, (first, end) in ranges.items() if end > first}
        if not todo:
            return found
        self.reader.assign(list(todo))
        await self.reader.seek_to_beginning(*todo)
        while todo:
            for records in (await self.reader.getmany(timeout_ms=1000)).values():
                found.update(record.key for record in records if record.key is not None)
            todo = {tp: end for tp, end in todo.items() if await self._position(tp) < end}
        return found

    async def _position(self, partition: TopicPartition) -> int:
        return int(await self.reader.position(partition))

    async def _memory(self, name: str, url: str) -> None:
        try:
            async with self.session.get(f"{url}/metrics") as response:
                match = RESIDENT.search(await response.text())
        except (aiohttp.ClientError, TimeoutError):
            return  # a service that is restarting has no memory to show
        if match:
            self.peak_rss_mb[name] = max(self.peak_rss_mb.get(name, 0.0), float(match[1]) / 1e6)


@asynccontextmanager
async def open_watch(
    brokers: str, groups: Groups, session: aiohttp.ClientSession, services: Mapping[str, str]
) -> AsyncIterator[Watch]:
    """A watch on every topic that any of the groups reads."""
    topics = tuple(sorted({topic for of_group in groups.values() for topic in of_group}))
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(open_reader(brokers, "atlas-demo"))
        admin = await stack.enter_async_context(open_admin(brokers, "atlas-demo"))
        yield Watch(topics, groups, reader, admin, session, services)
