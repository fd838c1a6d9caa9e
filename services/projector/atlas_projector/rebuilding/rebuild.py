"""Rebuild: a new generation of a read model from the records themselves, then a swap that no reader notices.

The records come from a Source, the rows from the same functions as live; nothing but rows is made: no dead letters,
no cache, no offsets of a group. What a rebuild has done is in its generation's positions, so it may be killed at any
moment and goes on where it was.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import structlog
from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_projection.projection import Projection
from atlas_readmodel.postgres.comparison import Comparison
from atlas_readmodel.store import Busy, Positions, Store
from atlas_readmodel.stores import Stores

from atlas_projector.metrics import REBUILD_EVENTS, REBUILD_REMAINING
from atlas_projector.rebuilding.builder import RebuildError, Strict
from atlas_projector.rebuilding.workers import PARALLEL_FROM, Setup, WorkerError, fill
from atlas_projector.source import RecordsGone, Source

log = structlog.get_logger(__name__)
T = TypeVar("T")

# Close enough to stop the live generation for the rest: a fraction of a second.
CLOSE_RECORDS = 5000
TRIES = 10


class NotIdentical(RebuildError):
    """The rows built differ from the live ones although the version is the same; nothing was swapped."""

    def __init__(self, projection: str, older: int, newer: int, comparison: Comparison) -> None:
        super().__init__(
            f"generation {newer} of {projection} differs from the live generation {older} in"
            f" {comparison.different_rows} rows; nothing was swapped. Without --verify it will be"
        )
        self.comparison = comparison


class RowsMissing(RebuildError):
    """A topic was made again, and rows that the live generation has of the one before would be gone.

    Nothing was swapped. What was built stays: the next rebuild goes on from there.
    """

    def __init__(self, projection: str, topics: Sequence[str], rows: int) -> None:
        super().__init__(
            f"{', '.join(topics)}: made again, and a rebuild reads the topic that is there alone. {rows:,} rows that"
            f" readers of {projection} see would be gone, or have no more what came from the topic before; nothing was"
            " swapped"
        )
        self.topics = topics
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Options:
    """`verify`: compare before the swap. `setup`: have worker processes do what is far; without it, none. `keep_rows`:
    no swap that takes rows of a topic that was made again.
    """

    verify: bool = False
    setup: Setup | None = None
    keep_rows: bool = False


@dataclass
class Progress:
    """How far a rebuild is; read by others while it runs."""

    phase: str = "starting"
    from_generation: int | None = None
    to_generation: int | None = None
    events: int = 0
    remaining: int = 0
    passed_over: int = 0
    started_at: float = field(default_factory=time.monotonic)

    def as_json(self) -> dict[str, Any]:
        """For HTTP: rate in events/s, times in seconds."""
        seconds = max(time.monotonic() - self.started_at, 1e-3)
        rate = self.events / seconds
        return {
            "phase": self.phase,
            "from_generation": self.from_generation,
            "to_generation": self.to_generation,
            "events": self.events,
            "remaining": self.remaining,
            "events_per_second": round(rate, 1),
            "seconds_left": round(self.remaining / rate, 1) if rate else None,
            "seconds": round(seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it. `comparison`: None if it was not asked for or the versions differ; `epoch`: see the cache."""

    progress: Progress
    rows: int
    comparison: Comparison | None
    epoch: int


_PLAIN = Options()


async def rebuild(
    projection: Projection,
    stores: Stores,
    codec: Codec,
    source: Source,
    progress: Progress,
    options: Options = _PLAIN,
) -> Rebuilt:
    """Build a new generation up to the live one, and swap.

    1. Take the projection's rebuild lock; make the next generation, or find the unfinished one.
    2. Apply history from its own positions to those of the live generation, again and again, until close. With a
       `setup`, what is far is done by worker processes.
    3. With `verify`: hold the live generation, apply the rest, let it go and compare the two row for row as they were
       then. Any difference between generations of one version ends it here; with `keep_rows` a row that is missing.
    4. Hold the live generation, apply the rest, swap, commit: only if it is level in every partition.
    5. Drop what the swap left behind; the generation replaced stays for a rollback.

    Strict: a record that can't be handled stops it, unless the live projector set that very record aside before.
    Raises RebuildError, RecordsGone; any error leaves readers with what they had.
    """
    async with stores.only_one(f"rebuild {projection.name}") as alone:
        if not alone:
            raise RebuildError(f"{projection.name} is being rebuilt by another process")
        store = stores.of(projection.model)
        strict = Strict(projection, store, codec, eager=True)
        builder = await _Builder.begin(projection, store, strict, source, progress)
        await builder.approach(options.setup)  # 2
        comparison = await builder.verify() if options.verify else None  # 3
        if options.keep_rows:
            await builder.refuse_missing()  # 3
        epoch = await builder.swap()  # 4
        rows = await builder.tidy()  # 5
        progress.phase = "done"
        return Rebuilt(progress, rows, comparison, epoch)


class _Builder:
    """One rebuild under way."""

    def __init__(
        self,
        projection: Projection,
        store: Store,
        strict: Strict,
        source: Source,
        progress: Progress,
        number: int,
    ) -> None:
        self._projection = projection
        self._store = store
        self._source = source
        self._progress = progress
        self._number = number
        self._writer = store.rows(number)
        self._strict = strict

    @classmethod
    async def begin(
        cls, projection: Projection, store: Store, strict: Strict, source: Source, progress: Progress
    ) -> Self:
        """Find or make the generation to build, with a position for every partition of the source.

        Raises RebuildError while the live generation stands in a topic that is not there any more.
        """
        live = await store.ensure_live()
        ids = await source.incarnations()
        if gone := _of_other_topics(await store.rows(live.number).topic_ids(), ids):
            raise RebuildError(
                f"{', '.join(gone)}: deleted or made again, and the live rows are of the topic before; see"
                " `atlas projections`"
            )
        generation = await store.begin()
        if _of_other_topics(await store.rows(generation.number).topic_ids(), ids):
            await store.discard()  # half built from a topic that is not there any more
            generation = await store.begin()
        progress.from_generation, progress.to_generation = live.number, generation.number
        builder = cls(projection, store, strict, source, progress, generation.number)
        partitions = await source.partitions()
        await store.rows(generation.number).add_positions(((place.topic, place.partition) for place in partitions), ids)
        return builder

    async def approach(self, setup: Setup | None) -> None:
        """Apply records until the live generation is close ahead."""
        self._progress.phase = "reading"
        self._strict.load = 1.0 if setup is None else setup.load
        while True:
            live = await self._store.in_state("live")
            assert live is not None
            target = await self._store.rows(live.number).positions()
            remaining = await self._remaining(target)
            if remaining <= CLOSE_RECORDS:
                return
            if setup is not None and setup.workers and remaining >= PARALLEL_FROM:
                await self._by_workers(setup, target)
            else:
                await self._apply_until(target)

    async def _by_workers(self, setup: Setup, target: Positions) -> None:
        try:
            await fill(setup, self._projection.name, self._number, _by_partition(target), self._note)
        except* (WorkerError, RecordsGone) as errors:
            first = errors.exceptions[0]
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise (first if isinstance(first, RecordsGone) else RebuildError(str(first))) from None

    async def verify(self) -> Comparison | None:
        """Compare with the live generation, both at the same positions; None if it is of another version."""
        self._progress.phase = "verifying"
        comparison = await self._patiently(
            "compare with the live generation", lambda: self._store.compare(self._number, self._level)
        )
        if comparison is not None and not comparison.identical:
            raise NotIdentical(self._projection.name, self._progress.from_generation or 0, self._number, comparison)
        return comparison

    async def refuse_missing(self) -> None:
        """Raises RowsMissing where a topic was made again and the live generation has rows that this one has not."""
        topics = await self._source.former()
        if not topics:
            return
        self._progress.phase = "comparing"
        rows = await self._patiently(
            "compare with the live generation", lambda: self._store.missing(self._number, self._level)
        )
        if rows:
            raise RowsMissing(self._projection.name, topics, rows)

    async def swap(self) -> int:
        """Let readers see this generation; returns the epoch."""
        self._progress.phase = "swapping"
        return await self._patiently("swap", lambda: self._store.swap(self._number, self._level))

    async def tidy(self) -> int:
        """Drop what is superseded; returns the number of rows built."""
        return await self._store.tidy(self._number)

    async def _patiently(self, what: str, act: Callable[[], Awaitable[T]]) -> T:
        """What `act` gives, which may meet a read model that is busy. Raises RebuildError when it always is."""
        for attempt in range(TRIES):
            try:
                return await act()
            except Busy as busy:
                log.warning(f"will try again to {what}", projection=self._projection.name, error=str(busy))
                await asyncio.sleep(0.1 * attempt)
        raise RebuildError(
            f"could not {what} in {TRIES} tries: a reader's query holds the view, or live events come faster than these"
        )

    async def _level(self, target: Positions) -> None:
        """Apply what is left up to where the live generation is held: as quickly as can be, for it waits."""
        self._strict.load = 1.0
        await self._remaining(target)
        await self._apply_until(target)

    async def _apply_until(self, target: Positions) -> None:
        before = 0
        async for events in self._strict.advance(self._writer, self._source, _by_partition(target)):
            self._note(events - before)
            before = events
        self._progress.passed_over += self._strict.passed_over
        self._strict.passed_over = 0

    async def _remaining(self, target: Positions) -> int:
        own = await self._writer.positions()
        self._progress.remaining = sum(max(0, until - own.get(place, 0)) for place, until in target.items())
        return self._progress.remaining

    def _note(self, events: int, passed_over: int = 0) -> None:
        self._progress.passed_over += passed_over
        self._progress.events += events
        self._progress.remaining = max(0, self._progress.remaining - events)
        REBUILD_EVENTS.labels(self._projection.name).set(self._progress.events)
        REBUILD_REMAINING.labels(self._projection.name).set(self._progress.remaining)


def _by_partition(positions: Positions) -> Mapping[TopicPartition, int]:
    return {TopicPartition(topic, partition): offset for (topic, partition), offset in positions.items()}


def _of_other_topics(known: Mapping[tuple[str, int], str | None], ids: Mapping[str, str]) -> list[str]:
    return sorted({topic for (topic, _), topic_id in known.items() if topic_id not in (None, ids.get(topic))})
