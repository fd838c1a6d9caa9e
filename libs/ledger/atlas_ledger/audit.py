"""Takes the ledger: reads positions, manifests and short stretches of topics, and changes nothing.

    Auditor.take()  →  read_accounts, rows_by_topic   PostgreSQL
                       Books.read                     the archive
                       extents, Counter.count         Kafka
                       archive_line, projection_line  the arithmetic

What is read first is what may not be ahead of what is read after it: positions, then manifests, then where topics end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_archive.chain.manifests import BadManifest, PartitionPath
from atlas_archive.store import ObjectStore, S3Address, open_store
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.cluster.partitions_now import partitions_now
from atlas_kafka.cluster.topic_state import TopicState, topic_states
from atlas_kafka.internals.client import client_of
from atlas_outbox.by_topic import TopicRows, rows_by_topic
from atlas_readmodel.accounts import Accounts, Position, read_accounts

from atlas_ledger.books import Books, TooManySegments
from atlas_ledger.counting import Counter, Place
from atlas_ledger.lines import Extent, Line, archive_line, projection_line
from atlas_ledger.tally import Archived, Stretch, Tally, to_count

CONNECT_TIMEOUT_S = 5.0
ROUND_TIMEOUT_S = 60.0
# Partitions whose manifests are read at a time.
_PARALLEL = 8
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the mesh keeps its records. `archive`: the parts of an S3Address; `excluded`: topics not archived."""

    brokers: str
    state_dsn: str
    readmodel_dsn: str
    archive: Mapping[str, str]
    excluded: frozenset[str] = frozenset()
    client_id: str = "atlas-ledger"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The lines of one round, worst first, and the outbox's rows by topic; `taken_at` in epoch milliseconds."""

    taken_at: int
    lines: Sequence[Line] = ()
    outbox: Sequence[TopicRows] = ()
    took_s: float = 0.0

    @property
    def unaccounted(self) -> int:
        return sum(line.unaccounted for line in self.lines)


class Auditor:
    """Takes one round after the other; keeps what can't change from one to the next. From `open_auditor`."""

    def __init__(self, sources: Sources, consumer: AIOKafkaConsumer, store: ObjectStore) -> None:
        self._sources = sources
        self._consumer = consumer
        self._books = Books(store)
        self._counter = Counter(consumer)

    async def take(self, topics: Collection[str]) -> Ledger:
        """The ledger of those of the topics that exist. Raises what a server answers, TimeoutError after a minute."""
        async with asyncio.timeout(ROUND_TIMEOUT_S):
            began = time.monotonic()
            rows = await _asked(self._sources.state_dsn, rows_by_topic)
            accounts = await _asked(self._sources.readmodel_dsn, read_accounts)
            client = client_of(self._consumer)
            states = await topic_states(client, sorted(topics))
            archived = await self._archived(states)
            lines = await self._lines(await self._extents(states), archived, accounts)
            return Ledger(time.time_ns() // 1_000_000, worst_first(lines), rows, time.monotonic() - began)

    async def _archived(self, states: Mapping[str, TopicState]) -> dict[TopicPartition, Archived]:
        paths = [
            PartitionPath(name, state.id, number)
            for name, state in states.items()
            if name not in self._sources.excluded
            for number in range(state.partitions)
        ]
        self._books.forget_others(paths)
        gate = asyncio.Semaphore(_PARALLEL)

        async def read(path: PartitionPath) -> Archived:
            async with gate:
                try:
                    return await self._books.read(path)
                except (BadManifest, TooManySegments) as error:  # of this partition alone
                    return Archived(trouble=str(error))

        found = await asyncio.gather(*map(read, paths))
        return {TopicPartition(path.topic, path.partition): each for path, each in zip(paths, found, strict=True)}

    async def _extents(self, states: Mapping[str, TopicState]) -> dict[TopicPartition, Extent]:
        """Of the topics that are still those that were asked about."""
        partitions = [
            TopicPartition(name, number) for name, state in states.items() for number in range(state.partitions)
        ]
        return {
            tp: Extent(tp.topic, tp.partition, now.topic_id, now.first, now.end, _is_compacted(states[tp.topic]))
            for tp, now in (await partitions_now(self._consumer, partitions)).items()
            if now.topic_id == states[tp.topic].id
        }

    async def _lines(
        self,
        extents: Mapping[TopicPartition, Extent],
        archived: Mapping[TopicPartition, Archived],
        accounts: Accounts,
    ) -> list[Line]:
        positions = {tp: _positions(tp, accounts) for tp in extents}
        wanted: dict[Place, list[Stretch]] = {}
        for tp, extent in extents.items():
            has = archived.get(tp, Archived())
            offsets = [has.stop, *(position.next_offset for position in positions[tp])]
            wanted[_place(extent)] = to_count(has, offsets, extent.first, extent.end)
        counted = await self._counter.count(wanted)
        lines = []
        for tp, extent in extents.items():
            tally = Tally(archived.get(tp, Archived()), counted[_place(extent)])
            if tp in archived:
                lines.append(archive_line(extent, archived[tp], tally))
            lines += [projection_line(extent, position, tally) for position in positions[tp]]
        return lines


@asynccontextmanager
async def open_auditor(sources: Sources) -> AsyncIterator[Auditor]:
    """Opens a connection to Kafka, which must answer; the others are made when they are needed."""
    async with (
        open_reader(sources.brokers, sources.client_id) as consumer,
        open_store(S3Address(**sources.archive)) as store,
    ):
        yield Auditor(sources, consumer, store)


def worst_first(lines: Sequence[Line]) -> list[Line]:
    """What is unaccounted for, what is in flight, then by name."""
    return sorted(lines, key=rank)


def rank(line: Line) -> tuple[int, int, str, str, int]:
    """A line's place in that order."""
    return -line.unaccounted, -line.in_flight, line.topic, line.group, line.partition


async def _asked(dsn: str, ask: Callable[[Any], Awaitable[T]]) -> T:
    connection = await asyncpg.connect(
        dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=ROUND_TIMEOUT_S / 2, statement_cache_size=0
    )
    try:
        return await ask(connection)
    finally:
        connection.terminate()


def _positions(tp: TopicPartition, accounts: Accounts) -> list[Position]:
    """Of every projection that reads the topic, also where it has not begun with the partition."""
    found = {each.projection: each for each in accounts.positions if (each.topic, each.partition) == tp}
    for projection, topics in accounts.topics.items():
        if tp.topic in topics:
            found.setdefault(projection, Position(projection, tp.topic, tp.partition, None, 0, 0))
    return [found[projection] for projection in sorted(found)]


def _place(extent: Extent) -> Place:
    return extent.topic, extent.topic_id, extent.partition


def _is_compacted(state: TopicState) -> bool:
    return "compact" in state.config.get("cleanup.policy", "")
