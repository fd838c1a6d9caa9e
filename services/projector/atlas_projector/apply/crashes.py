"""Getting past a record that ends the process, whatever it dies of.

Nothing is noted of a record before it is handled, for that would cost every record a round trip. But where the process
before this one died without getting on, records are marked from there on: some together, then, where it dies over
these, each alone. One that was being handled alone at so many deaths is set aside without being looked into.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiokafka import TopicPartition
from atlas_projection.waiting import Waiting
from atlas_readmodel.postgres.deaths import Mark
from atlas_readmodel.waiting.parking import Place

from atlas_projector.source import Record

log = structlog.get_logger(__name__)

# As far as a process may have been ahead of its position: what it fetched and what it held pending.
MARKED_RECORDS = 20_000
MARKED_TOGETHER = 64
# With the death that led to marks, and the one that led to this record, the fourth.
DEATHS_ALONE = 2
# From so many deaths on at one place it is said aloud.
REPORTED_FROM = 3


class Marks(Protocol):
    """The part of Rows that keeps marks."""

    async def mark(self, place: Place, records: int, reader: str) -> None: ...
    async def unmark(self, places: Sequence[Place]) -> None: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """Who reads the partitions now, and how many processes before it died where it begins."""

    reader: str
    deaths: Mapping[TopicPartition, int]


class CrashGuard:
    """Marks records before they are handled, where there is reason to."""

    def __init__(self, projection: str) -> None:
        self._projection = projection
        self._reader = ""
        self._store: Marks | None = None
        self._until: dict[TopicPartition, int] = {}
        self._deaths: Mapping[TopicPartition, int] = {}
        self._marks: dict[Place, Mark] = {}

    def begin(
        self,
        store: Marks,
        positions: Mapping[TopicPartition, int],
        taken: Taken,
        marks: Mapping[Place, Mark],
    ) -> None:
        """Go on from these positions, at which so many processes died."""
        self._store, self._reader, self._deaths, self._marks = store, taken.reader, taken.deaths, dict(marks)
        for tp, count in taken.deaths.items():
            if count:
                self._until[tp] = max(self._until.get(tp, 0), positions[tp] + MARKED_RECORDS)
                say = log.error if count >= REPORTED_FROM else log.warning
                place = {"topic": tp.topic, "partition": tp.partition, "offset": positions[tp]}
                say("the process before died here", projection=self._projection, deaths=count, **place)

        for (topic, number, offset), mark in marks.items():
            tp = TopicPartition(topic, number)
            if tp in positions and mark.reader != self._reader and offset >= positions[tp]:
                self._until[tp] = max(self._until.get(tp, 0), offset + MARKED_RECORDS)

    def covers(self, tp: TopicPartition, offset: int) -> bool:
        """Whether records are to be marked from there on."""
        return offset < self._until.get(tp, 0)

    async def parts(
        self, tp: TopicPartition, records: Sequence[Record], waiting: Waiting
    ) -> AsyncIterator[Sequence[Record]]:
        """The records in parts, each marked while it is handled; one that was died over too often is not to be read."""
        assert self._store is not None
        at, alone = 0, 0
        while at < len(records):
            place: Place = (tp.topic, tp.partition, records[at].offset)
            if not self.covers(tp, place[2]):
                yield records[at:]
                return
            found = self._marks.pop(place, None)
            if found is not None and found.records > 1:
                alone = found.records
            size = 1 if alone or found is not None else self._size(tp, records, at)
            alone = max(0, alone - 1)
            if found is not None and found.records == 1 and found.deaths(self._reader) >= DEATHS_ALONE:
                deaths = max(self._deaths.get(tp, 0), found.deaths(self._reader))
                waiting.leave_unread(place, f"it is not read: the process died {deaths} times over it")
                log.error("set aside unread", projection=self._projection, topic=tp.topic, partition=tp.partition,
                          offset=place[2], deaths=deaths)  # fmt: skip
            else:
                await self._store.mark(place, size, self._reader)
            yield records[at : at + size]
            await self._store.unmark([place])
            at += size

    def _size(self, tp: TopicPartition, records: Sequence[Record], at: int) -> int:
        """Up to the next mark, at most."""
        for size in range(1, min(MARKED_TOGETHER, len(records) - at)):
            if (tp.topic, tp.partition, records[at + size].offset) in self._marks:
                return size
        return min(MARKED_TOGETHER, len(records) - at)
