"""The archiver's sink: records into open segments, segments into the archive, offsets back to the loop.

The archive is the truth about what is archived; the group's offsets only follow it, for lag tools.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import structlog
from aiokafka import TopicPartition
from atlas_archive.chain.manifests import BadManifest, PartitionPath, last_manifest
from atlas_archive.store import ObjectStore
from atlas_archive.writing.batches import Batch
from atlas_errors.policy import Fate, describe, fate_of
from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_kafka.consuming.endings import Ended
from atlas_kafka.consuming.paused import Paused

from atlas_archiver import metrics
from atlas_archiver.crashes import CrashGuard
from atlas_archiver.holding import Holding
from atlas_archiver.partition import (
    CanNotBeSpliced,
    Limits,
    Overtaken,
    Partition,
    Writing,
    due,
    early,
    held_bytes,
    turns,
)
from atlas_archiver.storing import name_end, name_gone
from atlas_archiver.topics import TopicFacts

log = structlog.get_logger(__name__)

Records = Mapping[TopicPartition, Sequence[Batch]]


class ArchiveSink:
    """Sink of `atlas_kafka.consuming.loop.consume`. At most one segment a partition is on its way, so manifests come in
    order.

    A partition that can't be archived for a fault of its own is `paused`, with its place and the reason: what is held
    of it is dropped, and it is tried again from its archive's end. No other partition notices.
    """

    def __init__(self, store: ObjectStore, facts: TopicFacts, writing: Writing, limits: Limits, paused: Paused) -> None:
        self._store = store
        self._facts = facts
        self._writing = writing
        self._limits = limits
        self._paused = paused
        self._held = Holding(store, writing, paused)
        self._crashes = CrashGuard(store, writing.writer)
        # The topics' ids that records are fetched by: what comes is of these incarnations, whatever is there by now.
        self._ids: dict[TopicPartition, str] = {}

    async def refused(self) -> str | None:
        """A check for readiness: why the store did not take the last segment, until it takes one."""
        return self._held.refused

    async def start_offsets(self, partitions: Mapping[TopicPartition, PartitionNow]) -> Mapping[TopicPartition, int]:
        """Where the archive of each partition's present incarnation ends; 0 where there is none.

        1. Drop what is held: none of it is committed, and it will be read again. What can't be read again, since
           retention has removed it meanwhile, is stored first.
        2. Each id of a topic is an incarnation, with an archive of its own.
        3. The end of the last segment is where the next begins. A partition whose end can't be told is paused, and
           not among the answers.
        """
        log_starts = {tp: now.first for tp, now in partitions.items()}
        await self._save({tp for tp, p in self._held.partitions.items() if p.is_going(log_starts.get(tp, 0))})  # 1
        await self._held.drop(list(self._held.partitions))
        self._ids = {tp: now.topic_id for tp, now in partitions.items()}  # 2
        self._paused.keep(partitions)
        await self._open([tp for tp in partitions if not self._paused.waits(tp)], log_starts)  # 3
        return {tp: partition.next_offset for tp, partition in self._held.partitions.items()}

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
            try:
                await self._take(tp, batches)
            except CanNotBeSpliced as error:
                await self._held.pause(tp, error)
            except MemoryError:
                self._crashes.hold()  # no end in order
                raise
        await self._held.hear(self._held.stored())  # 2
        for tp in due(self._held.partitions, self._limits):  # 3
            await self._held.send_off(tp)
        while (largest := early(self._held.partitions, self._limits)) is not None:
            await self._held.send_off(largest)
        while held_bytes(self._held.partitions) > self._limits.held_bytes:
            await self._held.make_room()
        self._held.observe()
        return self._held.told()

    async def release(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Archive what is held of these partitions if that can be done in time, and forget them.

        What could not be archived is read again by whoever gets the partition.
        """
        held = [tp for tp in partitions if tp in self._held.partitions]
        outcomes = await asyncio.gather(*(self._held.flush(tp) for tp in held), return_exceptions=True)
        await self._held.drop(held)
        await self._crashes.let_go(partitions)
        self._paused.forget(partitions)
        for tp in partitions:
            metrics.NEXT_OFFSET.remove(tp.topic, tp.partition)
            metrics.GONE.remove(tp.topic, tp.partition)
        for tp, outcome in zip(held, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                if fate_of(outcome) is not Fate.TRANSIENT:
                    raise outcome
                log.warning("released with records not archived", partition=str(tp), error=describe(outcome))
        if not self._held.partitions:
            self._held.refused = None  # whatever it was about is somebody else's now
        self._held.observe()
        return self._held.told()

    async def ended(self, partitions: Mapping[TopicPartition, Ended]) -> None:
        """Their topics were deleted: archive what is held of them, and state in the archive how far that reaches.

        While the store does not take it, what is held stays, to be asked for again: nobody else has it.
        """
        for tp in partitions:
            self._held.send_again(tp)
        held = [tp for tp in partitions if tp in self._held.partitions]
        for outcome in await asyncio.gather(*(self._held.flush(tp) for tp in held), return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Overtaken):
                raise outcome
        for tp, ended in partitions.items():
            try:
                await name_end(self._store, tp, ended, self._writing.writer)
            except BadManifest as error:  # verify names it
                log.error("it can't be said how far a deleted topic is archived", partition=str(tp), exc_info=error)
        await self._held.drop(held)
        await self._crashes.let_go(partitions)

    async def _save(self, partitions: Collection[TopicPartition]) -> None:
        outcomes = await asyncio.gather(*(self._held.flush(tp) for tp in partitions), return_exceptions=True)
        for tp, outcome in zip(partitions, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                log.warning(
                    "what the topic no longer holds was not archived", partition=str(tp), error=describe(outcome)
                )

    async def _take(self, tp: TopicPartition, batches: Sequence[Batch]) -> None:
        if self._crashes.covers(tp, batches[0].start_offset):
            for part in self._crashes.parts(tp, batches):
                # Stored before the next is looked at, and by nobody beside: so what it dies of is in these.
                await self._crashes.mark(tp, part)
                await self._held.add(tp, part)
                await self._held.flush_now(tp)
                if tp not in self._held.partitions:
                    return
            return
        for some in turns(batches):
            await self._held.add(tp, some)
            # Splicing holds the loop: the next answer of the brokers, which takes many turns to read, and uploads get
            # theirs.
            await asyncio.sleep(0)

    async def _open(
        self,
        partitions: Collection[TopicPartition],
        log_starts: Mapping[TopicPartition, int],
    ) -> None:
        """Find where the archive of each ends, and go on from there."""
        opened = await asyncio.gather(*(self._end_of(tp, log_starts[tp]) for tp in partitions), return_exceptions=True)
        for tp, partition in zip(partitions, opened, strict=True):
            if isinstance(partition, BaseException):
                await self._held.pause(tp, partition)
                continue
            self._held.partitions[tp] = partition
            name_gone(tp, partition.next_offset, partition.log_start)
            self._held.tell(tp, partition.next_offset)

    async def _end_of(self, tp: TopicPartition, log_start: int) -> Partition:
        path = PartitionPath(tp.topic, self._ids[tp], tp.partition)
        last = await last_manifest(self._store, path)
        next_offset = last.next_offset if last is not None else 0
        await self._crashes.begin(path, tp, max(next_offset, log_start))
        return Partition(path, next_offset, log_start)

    async def _try_again(self) -> None:
        again = self._paused.due()
        if not again:
            return
        ids = await self._facts.incarnations({tp.topic for tp in again})
        again = [tp for tp in again if ids.get(tp.topic) == self._ids[tp]]  # else all begins again in a moment
        await self._open(again, await self._facts.log_starts(again))
        for tp in again:
            if tp in self._held.partitions:
                self._paused.resume(tp, self._held.partitions[tp].next_offset)
