"""What is held while records become rows of one generation: rows known, what waits, the batch to come."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.events import Meta
from atlas_errors.policy import describe
from atlas_projection.change import Change, Key
from atlas_projection.fold import Folded
from atlas_projection.projection import Projection, Row
from atlas_projection.waiting import Waiting, place_of
from atlas_readmodel.postgres.deaths import Mark
from atlas_readmodel.postgres.writer import Waits
from atlas_readmodel.store import Rows
from atlas_readmodel.waiting.parking import Parked, Place, State
from atlas_runtime.metrics import timed
from atlas_runtime.observing.traces import exemplar

from atlas_projector.apply.decoding import Decoded, Decoder, at
from atlas_projector.apply.pending import Pending, trim
from atlas_projector.apply.verdicts import Verdicts
from atlas_projector.metrics import READ_SECONDS, count
from atlas_projector.source import Record
from atlas_projector.waiting.aside import Aside, OnPoison, WaitingRecords, set_aside
from atlas_projector.waiting.parked import meta_of, partition_of, record_of

# Rows kept between batches so that a busy key is not read again; some 1 KB each.
ROWS_KEPT = 30_000
# Dead letters remembered, so that none is sent twice while one looks for the next.
TOLD_MAX = 10_000
DROPPED_AT_ONCE = 10_000

Snapshot = tuple[Waiting, set[Place], Verdicts]


class Workspace:
    """See the module; used by one task. `strict`: what the live projection set aside is not tried again."""

    def __init__(self, projection: Projection, codec: Codec, on_poison: OnPoison, *, strict: bool) -> None:
        self.projection = projection
        self.decoder = Decoder(projection, codec)
        self.waiting = Waiting(projection.ordered)
        # Every row that is newer than PostgreSQL's, and others as they were last seen.
        self.rows: dict[Key, Row | None] = {}
        # The batch to come, and the one that is being written: PostgreSQL may have neither yet.
        self.pending = Pending()
        self.in_flight = Pending()
        # Next offsets: of what was taken, of what is in the database.
        self.expected: dict[TopicPartition, int] = {}
        self.durable: dict[TopicPartition, int] = {}
        # The records that wait.
        self.waits: set[Place] = set()
        self.events = 0
        self.verdicts = Verdicts(projection.name)
        self._on_poison = on_poison
        self._strict = strict
        self._read_seconds = READ_SECONDS.labels(projection.name)
        self._writer: Rows | None = None
        self._told: set[Place] = set()
        self._refused: Mapping[Key, Row | None] = {}

    def use(self, codec: Codec) -> None:
        """Read what comes from now on with this codec."""
        self.decoder = Decoder(self.projection, codec)

    async def begin(
        self, writer: Rows, positions: Mapping[TopicPartition, int], decided: Waits | None
    ) -> Mapping[Place, Mark]:
        """Forget everything held, and go on from these durable positions. `decided`: if not as the writer knows it.

        Nothing is being written. Gives the records that somebody was about to handle.
        """
        self.durable = dict(positions)
        self._forget()
        waits = await writer.waiting((partition.topic, partition.partition) for partition in positions)
        self.waiting = Waiting(
            self.projection.ordered,
            (decided or waits).rulings,
            reasons=(decided or waits).reasons,
            last_version=self.projection.last_version,
            strict=self._strict,
        )
        for record in waits.records:
            if record.state is State.EARLY:
                since = time.monotonic() - max(0.0, time.time() - record.parked_at_ms / 1000)
                for change in self.changes([record]).changes:
                    self.waiting.add_early(change, since)
            else:
                self.waiting.block(meta_of(record))
        self._writer = writer
        self.waits = {record.place for record in waits.records}
        dead = [record for record in waits.records if record.state is State.DEAD]
        self.verdicts.begin(not await writer.empty(), len(dead), (dead[-1].error or "") if dead else "")
        return waits.marks

    def snapshot(self) -> Snapshot:
        """What `take_back` needs. Nothing is pending."""
        return self.waiting.copy(), set(self.waits), replace(self.verdicts)

    def take_back(self, before: Snapshot) -> None:
        """All as it was then: what was taken since is forgotten, and so is every row."""
        self.waiting, self.waits, self.verdicts = before
        self._forget()

    async def refused(self) -> Mapping[Key, str]:
        """Of the rows of the last attempt, which failed, those that are refused by themselves, and why."""
        assert self._writer is not None
        return await self._writer.try_each(self._refused)

    async def condemn(
        self, meta: Meta, error: Exception, by_place: Mapping[Place, Record], tried: Sequence[Parked] = ()
    ) -> None:
        """Set aside the record of which the last attempt has failed alone, with the server's reason."""
        assert self._writer is not None
        reason = await self._writer.explain(self._refused, describe(error))
        if not self._strict and not tried:
            self.verdicts.put_up_with(1, f"{at(meta)}: {reason}")
        if place_of(meta) in by_place:
            self.advance(partition_of(meta), meta.offset + 1, 1)
        self.waiting.block(meta)
        decoded, folded = Decoded(poison=[(meta, reason)]), Folded()
        aside = await self.set_aside(by_place, decoded, folded, tried)
        self.touch(meta)
        self.merge(folded, aside)
        count(self.projection.name, folded, poison=1)

    async def drop(self) -> int:
        """Give up the records that an operator wants dropped; how many those are. Nothing is pending."""
        assert self._writer is not None
        expected = {(tp.topic, tp.partition): at for tp, at in self.expected.items()}
        count, last = 0, DROPPED_AT_ONCE
        while last == DROPPED_AT_ONCE:
            dropped = await self._writer.drop_asked(expected, DROPPED_AT_ONCE)
            self.waits.difference_update(dropped.places)
            for topic, partition, key in dropped.free:
                self.waiting.unblock(Meta(topic, partition, 0, 0, key, ()))
            for place in dropped.places:
                self.waiting.forget_early(place)
            last = len(dropped.places)
            count += last
        return count

    def changes(self, records: Sequence[Parked]) -> Decoded:
        """What records that waited come to."""
        decoded = Decoded()
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self.decoder.decode(partition, [record_of(record)], self.waiting, decoded)
        return decoded

    def advance(self, tp: TopicPartition, next_offset: int, events: int) -> None:
        """The batch to come takes the partition's position there."""
        self.pending.advance(tp, self.expected[tp], next_offset, events)
        self.expected[tp] = next_offset
        self.events += events

    def touch(self, meta: Meta) -> None:
        """The transaction to come is fenced by this partition's position, although that does not move."""
        tp = partition_of(meta)
        self.advance(tp, self.expected[tp], 0)

    def merge(self, folded: Folded, aside: Aside) -> None:
        """Into the batch to come."""
        if not self.projection.replaces:
            self.rows.update(folded.rows)
        self.pending.add(folded, aside)
        # Only here: not while a batch is between `read` and this.
        trim(self.rows, ROWS_KEPT, self.pending.rows, self.in_flight.rows)
        dead = [record for record in aside.parked if record.state is State.DEAD]
        self.verdicts.note(folded.applied + folded.repeated, len(dead), (dead[-1].error or "") if dead else "")
        self.waits.update(record.place for record in aside.parked)
        self.waits.difference_update(folded.released, aside.released)

    async def read(self, changes: Sequence[Change]) -> None:
        """Have the rows that these touch at hand."""
        if self.projection.replaces:
            return
        rows = self.rows
        unknown = {change.key for change in changes if change.key not in rows}
        if unknown:
            assert self._writer is not None
            # What is pending or in flight is among the known ones, so PostgreSQL's rows are the newest of these.
            with timed(self._read_seconds):
                found = await self._writer.load(unknown)
            rows.update({key: found.get(key) for key in unknown})

    def note_age(self, first_ms: int) -> None:
        """Events were taken of which the first has this timestamp. Of a rebuild that says nothing: they are old."""
        if not self._strict:
            self.pending.note_age(first_ms, exemplar())

    async def set_aside(
        self, by_place: Mapping[Place, Record], decoded: Decoded, folded: Folded, tried: Sequence[Parked] = ()
    ) -> Aside:
        """What becomes of records that are not simply applied; poison is acknowledged on return."""
        assert self._writer is not None
        if folded.rejected and not folded.applied and not tried and not self._strict:
            meta, why = folded.rejected[-1]
            self.verdicts.put_up_with(len(folded.rejected), f"{at(meta)}: {why}")
        records = WaitingRecords(by_place, (tried, self.pending.parked, self.in_flight.parked), self._writer)
        waits = [(meta, State.BEHIND) for meta in decoded.behind + folded.behind]
        waits += [(meta, State.EARLY) for meta in folded.early if self.waiting.is_early(meta)]
        return await set_aside(records, self.waiting, self._tell, waits, decoded.poison + folded.rejected)

    async def _tell(self, partition: TopicPartition, record: Record, reason: str) -> None:
        """Once, however often the record is attempted."""
        place = (*partition, record.offset)
        if place not in self._told:
            await self._on_poison(partition, record, reason)
            if len(self._told) >= TOLD_MAX:
                self._told.clear()
            self._told.add(place)

    def _forget(self) -> None:
        """All that is not durable."""
        self._refused = {**self.in_flight.rows, **self.pending.rows}
        self.events -= self.in_flight.events + self.pending.events
        self.pending, self.in_flight = Pending(), Pending()
        self.rows = {}
        self.expected = dict(self.durable)
