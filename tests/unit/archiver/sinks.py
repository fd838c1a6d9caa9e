"""A sink on a store in memory that may be slow or away."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from atlas_archive.format.records import Record
from atlas_archive.history import histories, read_history
from atlas_archive.store import MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archiver.partition import Limits, Writing
from atlas_archiver.sink import ArchiveSink
from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_kafka.consuming.paused import Paused
from atlas_local.waiting import wait_until

TP0, TP1 = TopicPartition("t", 0), TopicPartition("t", 1)


class FakeFacts:
    def __init__(self) -> None:
        self.ids = {"t": "id-1"}
        self.starts: dict[TopicPartition, int] = {}

    async def incarnations(self, topics: Collection[str]) -> Mapping[str, str]:
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    async def log_starts(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {tp: self.starts.get(tp, 0) for tp in partitions}

    def now(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, PartitionNow]:
        return {tp: PartitionNow(self.ids[tp.topic], self.starts.get(tp, 0), 10**9, 2) for tp in partitions}


class SlowStore(MemoryStore):
    """Data objects wait for the gate; `down` makes every write fail."""

    def __init__(self, shared: "SlowStore | None" = None) -> None:
        super().__init__(shared.objects if shared is not None else {})
        self.gate = asyncio.Event()
        self.gate.set()
        self.down = False
        self.waiting = 0

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.down:
            raise ConnectionError("the store is away")
        await super().put(key, chunks)

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        if self.down:
            raise ConnectionError("the store is away")
        return await super().put_if_absent(key, data)


def batch(start: int, stop: int, size: int = 10) -> Any:
    return [pack(records(start, stop, size))]


def records(start: int, stop: int, size: int = 10) -> list[Record]:
    return [Record(i, i, b"k", (), i.to_bytes(size, "big")) for i in range(start, stop)]


def sink(
    store: MemoryStore,
    facts: FakeFacts | None = None,
    *,
    segment_bytes: int = 10**6,
    age_s: float = 100.0,
    held: int = 10**7,
    writer: str = "w",
    paused: Paused | None = None,
) -> ArchiveSink:
    limits = Limits(segment_bytes=segment_bytes, segment_age_s=age_s, held_bytes=held)
    return ArchiveSink(
        store, facts or FakeFacts(), Writing(writer, lambda _: None), limits, paused or Paused("archiver")
    )


async def begin(
    archiver: ArchiveSink, partitions: Collection[TopicPartition], facts: FakeFacts | None = None
) -> Mapping[TopicPartition, int]:
    """The assignment of these, as the brokers say that they are."""
    return await archiver.start_offsets((facts or FakeFacts()).now(partitions))


async def archived(store: MemoryStore, incarnation: str = "id-1") -> dict[int, list[Record]]:
    found = await histories(store, "t", incarnation)
    return {p: [r async for block in read_history(store, history) for r in block] for p, history in found.items()}


async def durable(archiver: ArchiveSink, tp: TopicPartition, offset: int) -> None:
    async def told() -> bool:
        return (await archiver.handle({})).get(tp) == offset

    await wait_until(f"{tp} durable up to {offset}", told, 3)
