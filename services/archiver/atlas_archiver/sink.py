"""The archiver's sink: records into open segments, segments into the archive, offsets back to the loop.

The archive is the truth about what is archived; the group's offsets only follow it, for lag tools.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence

import structlog
from aiokafka import TopicPartition
from atlas_archive.batches import Batch
from atlas_archive.manifests import BadManifest, PartitionPath, last_manifest
from atlas_archive.segments import Segment
from atlas_archive.store import ObjectStore
from atlas_kafka.endings import Ended
from atlas_kafka.fates import Fate, Transient, describe, fate_of
from atlas_kafka.partitions_now import PartitionNow
from atlas_kafka.paused import Paused

from atlas_archiver import metrics
from atlas_archiver.partition import (
    CanNotBeSpliced,
    Limits,
    Overtaken,
    Partition,
    Writing,
    due,
    early,
    held_bytes,
    is_its_own,
    place_in,
    turns,
)
from atlas_archiver.storing import name_end, name_gone, store_one
from atlas_archiver.topics import TopicFacts

log = structlog.get_logger(__name__)

Records = Mapping[TopicPartition, Sequence[Batch]]

# Leaves time to leave the group within the ten seconds that a stopping process has.
RELEASE_TIMEOUT_S = 6.0


class ArchiveSink:
    """Sink of `atlas_kafka.loop.consume`. At most one segment a partition is on its way, so manifests come in order.

    A partition that can't be archived for a fault of its own is `paused`, with its place and the reason: what is held
    of it is dropped, and it is tried again from its archive's end. No other partition notices.
    """

    def __init__(self, store: ObjectStore, facts: TopicFacts, writing: Writing, limits: Limits, paused: Paused) -> None:
        self._store = store
        self._facts = facts
        self._writing = writing
        self._limits = limits
        self._paused = paused
        self._partitions: dict[TopicPartition, Partition] = {}
        # The topics' ids that records are fetched by: what comes is of these incarnations, whatever is there by now.
        self._ids: dict[TopicPartition, str] = {}
        # Durable, but the loop has not been told: of a segment whose answer came in the middle of something else.
        self._untold: dict[TopicPartition, int] = {}

    async def start_offsets(self, partitions: Mapping[TopicPartition, PartitionNow]) -> Mapping[TopicPartition, int]:
        """Where the archive of each partition's present incarnation ends; 0 where there is none.

        1. Drop what is held: none of it is committed, and it will be read again. What can't be read again, since
           retention has removed it meanwhile, is stored first.
        2. Each id of a topic is an incarnation, with an archive of its own.
        3. The end of the last segment is where the next begins. A partition whose end can't be told is paused, and
           not among the answers.
        """
        log_starts = {tp: now.first for tp, now in partitions.items()}
        await self._save({tp for tp, p in self._partitions.items() if p.is_going(log_starts.get(tp, 0))})  # 1
        await self._drop(list(self._partitions))
        self._ids = {tp: now.topic_id for tp, now in partitions.items()}  # 2
        self._paused.keep(partitions)
        await self._open([tp for tp in partitions if not self._paused.waits(tp)], log_starts)  # 3
        return {tp: partition.next_offset for tp, partition in self._partitions.items()}

    async def handle(self, records: Records) -> Mapping[TopicPartition, int]:
        """Take records and answer what has become durable; with no records, only the clock is looked at.

        0. Try again what is paused, when it is time; what was fetched of it is passed over, for it comes again.
        1. Splice the records into the open segments.
        2. Hear from the segments on their way: the durable offsets are those of manifests that stand.
        3. Close the segments that are large or old enough and send them off, without waiting for the store; also the
           largest, as soon as half of what may be held is in open ones, so that the other half can go up meanwhile.
           Wait only when a partition's segment before is not there yet, or too much is held.
        """
        if self._paused.places:  # 0
            await self._try_again()
            records = {tp: batches for tp, batches in records.items() if tp not in self._paused.places}
        for tp, batches in records.items():  # 1
            for some in turns(batches):
                try:
                    self._add(self._partitions[tp], some)
                except CanNotBeSpliced as error:
                    await self._pause(tp, error)
                    break
                # Splicing holds the loop: the next answer of the brokers, which takes many turns to read, and uploads
                # get theirs.
                await asyncio.sleep(0)
        await self._hear([tp for tp, p in self._partitions.items() if p.storing is not None and p.storing.done()])  # 2
        for tp in due(self._partitions, self._limits):  # 3
            await self._send_off(tp)
        while (largest := early(self._partitions, self._limits)) is not None:
            await self._send_off(largest)
        while held_bytes(self._partitions) > self._limits.held_bytes:
            await self._make_room()
        self._observe()
        return self._told()

    async def release(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Archive what is held of these partitions if that can be done in time, and forget them.

        What could not be archived is read again by whoever gets the partition.
        """
        held = [tp for tp in partitions if tp in self._partitions]
        outcomes = await asyncio.gather(*(self._flush(tp) for tp in held), return_exceptions=True)
        await self._drop(held)
        self._paused.forget(partitions)
        for tp in partitions:
            metrics.NEXT_OFFSET.remove(tp.topic, tp.partition)
            metrics.GONE.remove(tp.topic, tp.partition)
        for tp, outcome in zip(held, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                if fate_of(outcome) is not Fate.TRANSIENT:
                    raise outcome
                log.warning("released with records not archived", partition=str(tp), error=describe(outcome))
        self._observe()
        return self._told()

    async def ended(self, partitions: Mapping[TopicPartition, Ended]) -> None:
        """Their topics were deleted: archive what is held of them, and state in the archive how far that reaches.

        While the store does not take it, what is held stays, to be asked for again: nobody else has it.
        """
        for tp in partitions:
            self._send_again(tp)
        held = [tp for tp in partitions if tp in self._partitions]
        for outcome in await asyncio.gather(*(self._flush(tp) for tp in held), return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Overtaken):
                raise outcome
        for tp, ended in partitions.items():
            try:
                await name_end(self._store, tp, ended, self._writing.writer)
            except BadManifest as error:  # verify names it
                log.error("it can't be said how far a deleted topic is archived", partition=str(tp), exc_info=error)
        await self._drop(held)

    def _send_again(self, tp: TopicPartition) -> None:
        partition = self._partitions.get(tp)
        if partition is None or partition.sending is None or partition.storing is None or not partition.storing.done():
            return
        if partition.storing.exception() is not None:
            self._store_in_background(tp, partition.sending)

    async def _save(self, partitions: Collection[TopicPartition]) -> None:
        outcomes = await asyncio.gather(*(self._flush(tp) for tp in partitions), return_exceptions=True)
        for tp, outcome in zip(partitions, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                log.warning(
                    "what the topic no longer holds was not archived", partition=str(tp), error=describe(outcome)
                )

    def _add(self, partition: Partition, batches: Sequence[Batch]) -> None:
        start = batches[0].start_offset
        if partition.segment is None:
            if start < partition.next_offset:
                raise Transient(f"{partition.path.topic}: offsets went back to {start}")
            partition.segment = self._writing.segment(partition)
            partition.opened_at = time.monotonic()
        elif start < partition.segment.next_offset:
            raise Transient(f"{partition.path.topic}: offsets went back to {start}")
        try:
            partition.segment.add(batches)
        except MemoryError:
            raise
        except Exception as error:
            # Whatever its type: nothing is asked of anybody here, so it is about these records.
            raise CanNotBeSpliced(start, error) from error

    async def _open(
        self,
        partitions: Collection[TopicPartition],
        log_starts: Mapping[TopicPartition, int],
    ) -> None:
        """Find where the archive of each ends, and go on from there."""
        paths = {tp: PartitionPath(tp.topic, self._ids[tp], tp.partition) for tp in partitions}
        ends = await asyncio.gather(
            *(last_manifest(self._store, path) for path in paths.values()), return_exceptions=True
        )
        for (tp, path), last in zip(paths.items(), ends, strict=True):
            if isinstance(last, BaseException):
                await self._pause(tp, last)
                continue
            next_offset = last.next_offset if last is not None else 0
            self._partitions[tp] = Partition(path, next_offset, log_starts[tp])
            name_gone(tp, next_offset, log_starts[tp])
            self._tell(tp, next_offset)

    async def _pause(self, tp: TopicPartition, error: BaseException, at: int | None = None) -> None:
        """Let go of this partition alone; raises the error if it is not the partition's own.

        With `at` (of a segment that could not be stored), or of records, it may fail there again, and is over when they
        are archived.
        """
        if not is_its_own(error):
            raise error
        place = at if at is not None else place_in(error)
        log.error("can't be archived", topic=tp.topic, partition=tp.partition, offset=place, exc_info=error)
        await self._drop([tp])
        again = at is not None or isinstance(error, CanNotBeSpliced)
        self._paused.pause(tp, place, error, until_passed=again)

    async def _try_again(self) -> None:
        again = self._paused.due()
        if not again:
            return
        ids = await self._facts.incarnations({tp.topic for tp in again})
        again = [tp for tp in again if ids.get(tp.topic) == self._ids[tp]]  # else all begins again in a moment
        await self._open(again, await self._facts.log_starts(again))
        for tp in again:
            if tp in self._partitions:
                self._paused.resume(tp, self._partitions[tp].next_offset)

    async def _send_off(self, tp: TopicPartition) -> None:
        """Close the open segment and start to store it, after the one before it is stored."""
        partition = self._partitions[tp]
        await self._hear([tp])
        segment = partition.segment
        if segment is None or tp not in self._partitions:
            return
        partition.segment = None
        partition.next_offset = segment.next_offset
        partition.sending, partition.storing_bytes = segment, segment.size
        self._store_in_background(tp, segment)

    def _store_in_background(self, tp: TopicPartition, segment: Segment) -> None:
        storing = store_one(self._store, segment, self._writing.writer)
        self._partitions[tp].storing = asyncio.create_task(storing, name=f"store {tp}")

    async def _hear(self, partitions: Collection[TopicPartition]) -> None:
        """Wait for the segments on their way from these partitions. Raises Transient for one that lost."""
        for tp in partitions:
            partition = self._partitions.get(tp)
            if partition is None or partition.storing is None:
                continue
            try:
                stored = await partition.storing
            except Exception as error:  # noqa: BLE001 - of any fate: what is not the partition's own is raised again
                await self._pause(tp, error, partition.sending.start_offset if partition.sending else None)
                continue
            manifest = stored.manifest
            if not stored.won:
                # It stays in `storing`, as one that failed does, so that whoever asks is told again: what is open
                # begins where the lost one would have ended, and would be a second chain beside the winner's.
                raise Overtaken(f"{manifest.key} is {manifest.writer}'s: going on from {manifest.next_offset}")
            partition.storing, partition.sending, partition.storing_bytes = None, None, 0
            metrics.RECORDS.labels(tp.topic).inc(manifest.records)
            metrics.BYTES.labels(tp.topic).inc(manifest.size)
            metrics.SEGMENTS.labels(tp.topic).inc()
            self._tell(tp, manifest.next_offset)

    async def _make_room(self) -> None:
        """Send off the largest open segment, if any is open, and wait for one on its way."""
        largest = max(self._partitions, key=lambda tp: self._partitions[tp].open_bytes)
        if self._partitions[largest].segment is not None:
            await self._send_off(largest)
        storing = {p.storing: tp for tp, p in self._partitions.items() if p.storing is not None}
        if storing:  # none if the largest was paused
            done, _ = await asyncio.wait(storing, return_when=asyncio.FIRST_COMPLETED)
            await self._hear([storing[task] for task in done])

    async def _flush(self, tp: TopicPartition) -> None:
        async with asyncio.timeout(RELEASE_TIMEOUT_S):
            await self._send_off(tp)
            await self._hear([tp])

    async def _drop(self, partitions: Collection[TopicPartition]) -> None:
        dropped = [self._partitions.pop(tp) for tp in partitions if tp in self._partitions]
        storing = [p.storing for p in dropped if p.storing is not None]
        for task in storing:
            task.cancel()
        await asyncio.gather(*storing, return_exceptions=True)

    def _tell(self, tp: TopicPartition, next_offset: int) -> None:
        metrics.NEXT_OFFSET.labels(tp.topic, tp.partition).set(next_offset)
        self._paused.passed(tp, max(next_offset, self._partitions[tp].log_start))
        if next_offset > 0:
            self._untold[tp] = next_offset

    def _told(self) -> Mapping[TopicPartition, int]:
        told, self._untold = self._untold, {}
        return told

    def _observe(self) -> None:
        metrics.HELD_BYTES.set(held_bytes(self._partitions))
        opened = [p.opened_at for p in self._partitions.values() if p.segment is not None]
        metrics.OLDEST_HELD.set(time.monotonic() - min(opened) if opened else 0.0)
