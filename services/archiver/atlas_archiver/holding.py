"""What is held of each partition, and on its way to the store: spliced, closed, stored, heard of."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence

import structlog
from aiokafka import TopicPartition
from atlas_archive.store import ObjectStore
from atlas_archive.writing.batches import Batch
from atlas_archive.writing.segments import Segment
from atlas_archive.writing.steps import in_turns
from atlas_errors.policy import Transient, describe
from atlas_kafka.consuming.paused import Paused

from atlas_archiver import metrics
from atlas_archiver.partition import (
    CanNotBeSpliced,
    DiedOver,
    Overtaken,
    Partition,
    Writing,
    held_bytes,
    is_its_own,
    place_in,
)
from atlas_archiver.storing import store_one

log = structlog.get_logger(__name__)

# Leaves time to leave the group within the ten seconds that a stopping process has.
RELEASE_TIMEOUT_S = 6.0


class Holding:
    """The partitions that are archived now. At most one segment of each is on its way, so manifests come in order."""

    def __init__(self, store: ObjectStore, writing: Writing, paused: Paused) -> None:
        self._store = store
        self._writing = writing
        self._paused = paused
        self.partitions: dict[TopicPartition, Partition] = {}
        # Durable, but the loop has not been told: of a segment whose answer came in the middle of something else.
        self._untold: dict[TopicPartition, int] = {}
        # Why the store did not take what it was last given; it may answer everything else, as when it is full.
        self.refused: str | None = None

    def send_again(self, tp: TopicPartition) -> None:
        """What could not be stored is to be tried once more."""
        partition = self.partitions.get(tp)
        if partition is None or partition.sending is None or partition.storing is None or not partition.storing.done():
            return
        if partition.storing.cancelled() or partition.storing.exception() is not None:
            self._store_in_background(tp, partition.sending)

    async def add(self, tp: TopicPartition, batches: Sequence[Batch]) -> None:
        """Splice them into the open segment. Raises CanNotBeSpliced, and Transient where they don't follow it."""
        partition = self.partitions[tp]
        start = batches[0].start_offset
        if partition.segment is None:
            if start < partition.next_offset:
                raise Transient(f"{partition.path.topic}: offsets went back to {start}")
            partition.segment = self._writing.segment(partition)
            partition.opened_at = time.monotonic()
        elif start < partition.segment.next_offset:
            raise Transient(f"{partition.path.topic}: offsets went back to {start}")
        try:
            await in_turns(partition.segment.steps(batches))
        except BaseException as error:
            partition.segment = None  # some of it is half in
            if isinstance(error, MemoryError) or not isinstance(error, Exception):
                raise
            # Whatever its type: nothing is asked of anybody here, so it is about these records.
            raise CanNotBeSpliced(start, error) from error

    async def pause(self, tp: TopicPartition, error: BaseException, at: int | None = None) -> None:
        """Let go of this partition alone; raises the error if it is not the partition's own.

        With `at` (of a segment that could not be stored), or of records, it may fail there again, and is over when they
        are archived.
        """
        if not is_its_own(error):
            raise error
        place = at if at is not None else place_in(error)
        log.error("can't be archived", topic=tp.topic, partition=tp.partition, offset=place, exc_info=error)
        await self.drop([tp])
        again = at is not None or isinstance(error, CanNotBeSpliced | DiedOver)
        self._paused.pause(tp, place, error, until_passed=again)

    async def send_off(self, tp: TopicPartition) -> None:
        """Close the open segment and start to store it, after the one before it is stored."""
        partition = self.partitions[tp]
        await self.hear([tp])
        segment = partition.segment
        if segment is None or tp not in self.partitions:
            return
        partition.segment = None
        partition.next_offset = segment.next_offset
        partition.sending, partition.storing_bytes = segment, segment.size
        self._store_in_background(tp, segment)

    def _store_in_background(self, tp: TopicPartition, segment: Segment) -> None:
        counted = tp.topic not in self._writing.uncounted
        storing = store_one(self._store, segment, self._writing.writer, counted=counted)
        self.partitions[tp].storing = asyncio.create_task(storing, name=f"store {tp}")

    async def hear(self, partitions: Collection[TopicPartition]) -> None:
        """Wait for the segments on their way from these partitions. Raises Transient for one that lost."""
        for tp in partitions:
            partition = self.partitions.get(tp)
            if partition is None or partition.storing is None:
                continue
            try:
                stored = await partition.storing
            except Exception as error:  # noqa: BLE001 - of any fate: what is not the partition's own is raised again
                self.refused = None if is_its_own(error) else describe(error)
                await self.pause(tp, error, partition.sending.start_offset if partition.sending else None)
                continue
            self.refused = None
            manifest = stored.manifest
            if not stored.won:
                # It stays in `storing`, as one that failed does, so that whoever asks is told again: what is open
                # begins where the lost one would have ended, and would be a second chain beside the winner's.
                raise Overtaken(f"{manifest.key} is {manifest.writer}'s: going on from {manifest.next_offset}")
            partition.storing, partition.sending, partition.storing_bytes = None, None, 0
            if tp.topic not in self._writing.uncounted:
                metrics.RECORDS.labels(tp.topic).inc(manifest.records)
                metrics.BYTES.labels(tp.topic).inc(manifest.size)
                metrics.SEGMENTS.labels(tp.topic).inc()
            self.tell(tp, manifest.next_offset)

    async def make_room(self) -> None:
        """Send off the largest open segment, if any is open, and wait for one on its way."""
        largest = max(self.partitions, key=lambda tp: self.partitions[tp].open_bytes)
        if self.partitions[largest].segment is not None:
            await self.send_off(largest)
        storing = {p.storing: tp for tp, p in self.partitions.items() if p.storing is not None}
        if storing:  # none if the largest was paused
            done, _ = await asyncio.wait(storing, return_when=asyncio.FIRST_COMPLETED)
            await self.hear([storing[task] for task in done])

    def stored(self) -> list[TopicPartition]:
        """Those from whose segments on their way there is something to hear."""
        return [tp for tp, p in self.partitions.items() if p.storing is not None and p.storing.done()]

    async def flush_now(self, tp: TopicPartition) -> None:
        """Store what is held of it, however long that takes."""
        await self.send_off(tp)
        await self.hear([tp])

    async def flush(self, tp: TopicPartition) -> None:
        """The same within the time that letting go may take. Raises TimeoutError."""
        async with asyncio.timeout(RELEASE_TIMEOUT_S):
            await self.flush_now(tp)

    async def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Forget them, and what is on its way."""
        dropped = [self.partitions.pop(tp) for tp in partitions if tp in self.partitions]
        storing = [p.storing for p in dropped if p.storing is not None]
        for task in storing:
            task.cancel()
        await asyncio.gather(*storing, return_exceptions=True)

    def tell(self, tp: TopicPartition, next_offset: int) -> None:
        """All of it before `next_offset` is durable."""
        metrics.NEXT_OFFSET.labels(tp.topic, tp.partition).set(next_offset)
        self._paused.passed(tp, max(next_offset, self.partitions[tp].log_start))
        if next_offset > 0:
            self._untold[tp] = next_offset

    def told(self) -> Mapping[TopicPartition, int]:
        """What has become durable since this was asked."""
        told, self._untold = self._untold, {}
        return told

    def observe(self) -> None:
        """Say in metrics how much is held, and for how long."""
        metrics.HELD_BYTES.set(held_bytes(self.partitions))
        opened = [p.opened_at for p in self.partitions.values() if p.segment is not None]
        metrics.OLDEST_HELD.set(time.monotonic() - min(opened) if opened else 0.0)
