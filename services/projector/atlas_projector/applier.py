"""Records into rows of one generation: the work that the live loop and a rebuild share.

While PostgreSQL writes one batch, the records that come are folded into the next: it works on one core, this process on
another, and the slower PostgreSQL is, the more events of a key become one row before they get there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.events import Meta
from atlas_readmodel.parking import Decision, Parked, Place, Ruling, State
from atlas_readmodel.store import Rows

from atlas_projector.aside import Aside, OnPoison, WaitingRecords, set_aside
from atlas_projector.change import Change, Key
from atlas_projector.decoding import Decoded, Decoder
from atlas_projector.fold import Folded, fold
from atlas_projector.metrics import WRITE_SECONDS, count
from atlas_projector.parked import meta_of, partition_of, record_of
from atlas_projector.pending import Pending, trim
from atlas_projector.projection import Projection, Row
from atlas_projector.source import Record, from_offset
from atlas_projector.waiting import Waiting, place_of

Records = Mapping[TopicPartition, Sequence[Record]]
# Given the rows, and the offset of the last record they come from.
BeforeWrite = Callable[[Mapping[Key, Row | None], int], Awaitable[None]]

# Decoding holds the event loop: other projections, probes and the write in flight get their turn this often.
RECORDS_A_TURN = 250
# Rows kept between batches so that a busy key is not read again; some 1 KB each.
ROWS_KEPT = 30_000
# The most that is folded ahead of PostgreSQL.
PENDING_ROWS_MAX = 20_000


async def nothing_first(_rows: Mapping[Key, Row | None], _offset: int) -> None:
    """The `before_write` of who has no cache to warn."""


class Applier:
    """Applies records to one generation, each once. Not to be shared between tasks.

    `on_poison` is asked about each record that can't be handled: it returns once the record may be set aside, or
    raises. `before_write` is called with the rows about to be written. A write begins as soon as the one before it is
    done and `write_rows` rows changed; whatever there is, at a flush.
    """

    def __init__(
        self,
        projection: Projection,
        codec: Codec,
        on_poison: OnPoison,
        before_write: BeforeWrite = nothing_first,
        *,
        write_rows: int = 0,
    ) -> None:
        self._projection = projection
        self._decoder = Decoder(projection, codec)
        self._on_poison = on_poison
        self._before_write = before_write
        self._write_rows = write_rows
        self._pending_max = max(PENDING_ROWS_MAX, write_rows)
        self._waiting = Waiting(projection.ordered, versioned=projection.versioned is not None)
        self._writer: Rows | None = None
        self._writing: asyncio.Task[None] | None = None
        self._pending = Pending()
        self._in_flight = Pending()
        self._flushing = False
        self._hurried = False
        # Every row that is newer than PostgreSQL's, and others as they were last seen.
        self._rows: dict[Key, Row | None] = {}
        self._expected: dict[TopicPartition, int] = {}
        self.durable: dict[TopicPartition, int] = {}
        self.events = 0
        self._waits: set[Place] = set()

    @property
    def parked(self) -> int:
        """How many records wait of the partitions this was begun with."""
        return len(self._waits)

    async def begin(self, writer: Rows, positions: Mapping[TopicPartition, int]) -> None:
        """Forget everything held, and go on from these durable positions of the writer's generation."""
        await self._abandon()
        waits = await writer.waiting((partition.topic, partition.partition) for partition in positions)
        versioned = self._projection.versioned is not None
        self._waiting = Waiting(self._projection.ordered, waits.rulings, waits.failures, versioned=versioned)
        for record in waits.records:
            if record.state is State.EARLY:
                since = time.monotonic() - max(0.0, time.time() - record.parked_at_ms / 1000)
                for change in self._changes([record]).changes:
                    self._waiting.add_early(change, since)
            else:
                self._waiting.block(meta_of(record))
        self._writer = writer
        self._expected = dict(positions)
        self.durable = dict(positions)
        self._waits = {record.place for record in waits.records}

    async def apply(self, records: Records) -> None:
        """Take the next records, in offset order a partition; raises what a write before raised.

        1. Pass over records behind the position: delivered again.
        2. Decode; 3. read the rows they touch, except those still known; 4. fold, key by key.
        5. Set aside what can't be handled, acknowledged before the position passes it.
        6. Put rows, positions and what waits together into the pending batch; it is written, in one transaction, once
           the one before it is: not waited for, unless too much is pending.
        """
        self._raise_if_failed()
        fresh = {tp: from_offset(batch, self._expected[tp]) for tp, batch in records.items()}  # 1
        decoded = Decoded()
        for tp, batch in fresh.items():  # 2
            for start in range(0, len(batch), RECORDS_A_TURN):
                self._decoder.decode(tp, batch[start : start + RECORDS_A_TURN], self._waiting, decoded)
                await asyncio.sleep(0)
        await self._read(decoded.changes)  # 3
        folded = fold(self._projection, decoded.changes, self._rows.get, self._waiting)  # 4
        decoded.in_order(self._waiting)
        aside = Aside()
        if decoded.poison or folded.rejected or decoded.behind or folded.behind or folded.early:
            by_place = {(*tp, record.offset): record for tp, batch in fresh.items() for record in batch}
            aside = await self._set_aside(by_place, decoded, folded)  # 5
        for tp, batch in fresh.items():  # 6
            if batch:
                self._pending.advance(tp, self._expected[tp], batch[-1].offset + 1, len(batch))
                self._expected[tp] = batch[-1].offset + 1
        self._merge(folded, aside)
        count(self._projection.name, folded, len(decoded.poison), decoded.passed_over, len(decoded.behind))
        self.events += sum(map(len, fresh.values()))
        self._begin_write()
        while len(self._pending.rows) >= self._pending_max and self._writing is not None:
            await asyncio.wait({self._writing})
            self._raise_if_failed()
            self._begin_write()

    def reach(self, positions: Mapping[TopicPartition, int]) -> None:
        """All below these positions was applied: what is left up to them was no record, or compaction took it."""
        for tp, until in positions.items():
            if self._expected[tp] < until:
                self._pending.advance(tp, self._expected[tp], until, 0)
                self._expected[tp] = until

    def write_soon(self) -> None:
        """Write what is pending, however little, once the write before it is done."""
        self._hurried = True
        self._begin_write()

    async def flush(self) -> None:
        """Make durable all that was applied; raises the error of a write, once."""
        self._flushing = True
        try:
            self._begin_write()
            while self._writing is not None:
                await asyncio.wait({self._writing})
                self._raise_if_failed()
                self._begin_write()
        finally:
            self._flushing = False

    async def take_overdue(self) -> None:
        """Handle events that waited too long for the versions before them."""
        changes = self._waiting.overdue()
        if not changes:
            return
        await self._read(changes)
        for change in changes:
            self._waiting.drop_early(change)
        folded = fold(self._projection, changes, self._rows.get, self._waiting, accept=True)
        aside = await self._set_aside({}, Decoded(), folded)
        waits = {record.place for record in aside.parked}
        aside.released += [place for change in changes if (place := place_of(change.meta)) not in waits]
        aside.accept(folded.accepted)
        self._touch(changes[0].meta)
        self._merge(folded, aside)
        count(self._projection.name, folded)
        self._begin_write()

    async def settle(self, of_key: Sequence[Parked]) -> None:
        """Do what an operator asked about the records that wait of one key.

        1. Make durable what is pending; 2. take the key's records in order: those to be dropped are passed over, the
        others folded until one fails again; 3. rows, what still waits, what was decided: one transaction.
        """
        assert self._writer is not None
        await self.flush()  # 1
        ordered = self._projection.ordered and of_key[0].key is not None
        taken = [record for record in of_key if record.request or (ordered and record.state is not State.EARLY)]
        dropped = [record for record in taken if record.request == "drop"]
        tried = [record for record in taken if record.request != "drop"]
        self._waiting.unblock(meta_of(of_key[0]))
        for record in taken:
            self._waiting.give_up(record.place, record.attempts + 1)
            self._waiting.forget_early(record.place)
        decoded = self._changes(tried)
        await self._read(decoded.changes)
        folded = fold(self._projection, decoded.changes, self._rows.get, self._waiting, accept=True)  # 2
        decoded.in_order(self._waiting)
        aside = await self._set_aside({}, decoded, folded, tried)
        waits = {record.place for record in aside.parked}
        aside.released += [record.place for record in taken if record.place not in waits]
        aside.rulings += [Ruling(record.place, Decision.DROPPED, record.error or "") for record in dropped]
        aside.accept(folded.accepted)
        self._touch(meta_of(of_key[0]))
        self._merge(folded, aside)
        await self.flush()  # 3

    def holds(self, record: Parked) -> bool:
        """Whether the record's partition is one of those this applier was begun with."""
        return partition_of(record) in self._expected

    def _changes(self, records: Sequence[Parked]) -> Decoded:
        decoded = Decoded()
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._decoder.decode(partition, [record_of(record)], self._waiting, decoded)
        return decoded

    def _touch(self, meta: Meta) -> None:
        """The transaction to come is fenced by this partition's position, although that does not move."""
        tp = partition_of(meta)
        self._pending.advance(tp, self._expected[tp], self._expected[tp], 0)

    def _merge(self, folded: Folded, aside: Aside) -> None:
        if not self._projection.replaces:
            self._rows.update(folded.rows)
        if self._pending.rows:
            self._pending.rows.update(folded.rows)
        else:
            self._pending.rows = folded.rows
        # Only here: not while a batch is between `_read` and this.
        trim(self._rows, ROWS_KEPT, self._pending.rows, self._in_flight.rows)
        released = folded.released + aside.released
        self._pending.released += released
        self._pending.parked += aside.parked
        self._pending.rulings += aside.rulings
        self._waits.update(record.place for record in aside.parked)
        self._waits.difference_update(released)

    async def _read(self, changes: Sequence[Change]) -> None:
        if self._projection.replaces:
            return
        rows = self._rows
        unknown = {change.key for change in changes if change.key not in rows}
        if unknown:
            assert self._writer is not None
            # What is pending or in flight is among the known ones, so PostgreSQL's rows are the newest of these.
            found = await self._writer.load(unknown)
            rows.update({key: found.get(key) for key in unknown})

    async def _set_aside(
        self, by_place: Mapping[Place, Record], decoded: Decoded, folded: Folded, tried: Sequence[Parked] = ()
    ) -> Aside:
        assert self._writer is not None
        records = WaitingRecords(by_place, (tried, self._pending.parked, self._in_flight.parked), self._writer)
        waits = [(meta, State.BEHIND) for meta in decoded.behind + folded.behind]
        waits += [(meta, State.EARLY) for meta in folded.early if self._waiting.is_early(meta)]
        return await set_aside(records, self._waiting, self._on_poison, waits, decoded.poison + folded.rejected)

    def _begin_write(self) -> None:
        if self._writing is None and self._due():
            self._writing = asyncio.create_task(self._write_pending())

    def _due(self) -> bool:
        pending = self._pending
        wanted = self._flushing or self._hurried or len(pending.rows) >= self._write_rows
        return wanted and bool(pending.advances)

    async def _write_pending(self) -> None:
        """Write what is pending, and what has become pending meanwhile, until nothing is."""
        assert self._writer is not None
        while self._due():
            self._in_flight, self._pending = self._pending, Pending()
            self._hurried = False
            batch = self._in_flight.batch()
            with WRITE_SECONDS.labels(self._projection.name).time():
                await self._before_write(batch.rows, max(advance.next_offset for advance in batch.advances) - 1)
                await self._writer.write(batch)
            for advance in batch.advances:
                self.durable[TopicPartition(advance.topic, advance.partition)] = advance.next_offset
            self._in_flight = Pending()

    def _raise_if_failed(self) -> None:
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            writing.result()

    async def _abandon(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.cancel()
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()  # looked at, so that asyncio does not complain; the positions tell the truth
        self._pending = Pending()
        self._in_flight = Pending()
        self._rows = {}
