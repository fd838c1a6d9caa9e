"""Records into rows of one generation: the work that the live loop and a rebuild share.

What is done to a batch in the ordinary way is in `commit_path`. Here is which records are taken how: many at once, or
carefully where there is doubt about one, or once more because an operator asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_errors.policy import is_over_content
from atlas_projection.change import Change
from atlas_projection.fold import fold
from atlas_projection.projection import Projection
from atlas_projection.waiting import place_of
from atlas_readmodel.postgres.writer import Waits
from atlas_readmodel.store import Rows
from atlas_readmodel.waiting.parking import Decision, Parked, Place, Ruling, State

from atlas_projector.apply.careful import Checks, Doubts, bisect
from atlas_projector.apply.commit_path import BeforeWrite, CommitPath, Records, nothing_first
from atlas_projector.apply.crashes import CrashGuard, Taken
from atlas_projector.apply.decoding import Decoded, meta_at
from atlas_projector.apply.verdicts import Verdicts
from atlas_projector.apply.workspace import Workspace
from atlas_projector.metrics import count
from atlas_projector.source import Placed, by_partition, from_offset
from atlas_projector.waiting.aside import OnPoison
from atlas_projector.waiting.parked import meta_of, partition_of


class Applier:
    """Applies records to one generation, each once. Not to be shared between tasks.

    `on_poison` is asked about each record that can't be handled: it returns once the record may be set aside, or
    raises. `before_write`, `write_rows`: see CommitPath; `strict`: see Workspace.
    """

    def __init__(
        self,
        projection: Projection,
        codec: Codec,
        on_poison: OnPoison,
        before_write: BeforeWrite = nothing_first,
        *,
        write_rows: int = 0,
        strict: bool = False,
    ) -> None:
        self._projection = projection
        self._checks = Checks(projection)
        self._held = Workspace(projection, codec, on_poison, strict=strict)
        self._path = CommitPath(projection, self._held, before_write, write_rows)
        self._guard = CrashGuard(projection.name)
        self._doubts = Doubts()

    @property
    def events(self) -> int:
        """How many were applied, or are about to be."""
        return self._held.events

    @property
    def parked(self) -> int:
        """How many records wait of the partitions this was begun with."""
        return len(self._held.waits)

    @property
    def verdicts(self) -> Verdicts:
        """What became of the last records."""
        return self._held.verdicts

    @property
    def expected(self) -> Mapping[TopicPartition, int]:
        """The next offset of each partition to be applied."""
        return self._held.expected

    @property
    def durable(self) -> Mapping[TopicPartition, int]:
        """The next offset of each partition, as it is in the database."""
        return self._held.durable

    def use(self, codec: Codec) -> None:
        """Read what comes from now on with this codec."""
        self._held.use(codec)

    async def begin(
        self,
        writer: Rows,
        positions: Mapping[TopicPartition, int],
        decided: Waits | None = None,
        taken: Taken | None = None,
    ) -> None:
        """Forget everything held, and go on from these durable positions of the writer's generation.

        `decided`: what was decided before, if not as the writer knows it. `taken`: who this is, and who died there.
        """
        await self._path.begin(writer)
        marks = await self._held.begin(writer, positions, decided)
        self._guard.begin(writer, positions, taken or Taken("", {}), marks)

    def doubt(self) -> bool:
        """After an error over content: be careful from the durable positions, where one begins again, up to where this
        had got. False if nothing has become durable since the last time, so that care does not help.
        """
        return self._doubts.begin(self._held.durable, self._held.expected)

    async def apply(self, records: Records) -> None:
        """Take the next records, in offset order a partition; raises what a write before raised.

        Where there is doubt, in parts as large as can be written, all durable on return: a record that can't be written
        alone is set aside.
        """
        self._path.raise_if_failed()
        expected = self._held.expected
        fresh = {tp: from_offset(batch, expected[tp]) for tp, batch in records.items()}
        if not any(guard.covers(tp, expected[tp]) for tp in fresh for guard in (self._doubts, self._guard)):
            await self._path.take(fresh)
            await self._path.make_room()
            return
        await self._path.flush()
        # Of all partitions together: each attempt is a transaction that is waited for, and one may do for all of them.
        together: list[Placed] = []
        for tp, batch in fresh.items():
            if self._guard.covers(tp, expected[tp]):
                async for part in self._guard.parts(tp, batch, self._held.waiting):
                    await self._bisect([(tp, record) for record in part])
            else:
                together += [(tp, record) for record in batch]
        await self._bisect(together)

    def reach(self, positions: Mapping[TopicPartition, int]) -> None:
        """All below these positions was applied: what is left up to them was no record, or compaction took it."""
        for tp, until in positions.items():
            if self._held.expected[tp] < until:
                self._held.advance(tp, until, 0)

    def write_soon(self) -> None:
        """Write what is pending, however little, once the write before it is done."""
        self._path.write_soon()

    async def flush(self) -> None:
        """Make durable all that was applied; raises the error of a write, once."""
        await self._path.flush()

    async def take_overdue(self) -> None:
        """Handle events that waited too long for the versions before them; durable on return."""
        changes = self._held.waiting.overdue()
        if changes:
            await self._path.flush()
            # All at once: one that is taken alone would bring along those that are next after it.
            for change in changes:
                self._held.waiting.drop_early(change)
            await bisect(changes, partial(self._attempt_early, accept=True), self._condemn_early)

    async def settle(self, of_key: Sequence[Parked]) -> None:
        """Do what an operator asked about the records that wait of one key.

        1. Make durable what is pending; 2. take the key's records in order: those to be dropped are passed over, the
        others folded until one fails again; 3. rows, what still waits, what was decided: one transaction, or as many as
        it takes to find a record whose row is refused.
        """
        await self._path.flush()  # 1
        ordered = self._projection.ordered and of_key[0].key is not None
        taken = [record for record in of_key if record.request or (ordered and record.state is not State.EARLY)]
        self._held.waiting.unblock(meta_of(of_key[0]))
        for record in taken:
            self._held.waiting.read_again(record.place)
        await bisect(taken, self._attempt_waiting, self._condemn_waiting)

    async def drop(self) -> int:
        """Give up the records that an operator wants dropped, however many; how many those are. Durable on return."""
        await self._path.flush()
        return await self._held.drop()

    def step_over(self, places: Iterable[Place]) -> None:
        """These are not read, where they come yet."""
        for place in places:
            self._held.waiting.step_over(place)

    def holds(self, record: Parked) -> bool:
        """Whether the record's partition is one of those this applier was begun with."""
        return partition_of(record) in self._held.expected

    async def _bisect(self, records: Sequence[Placed]) -> None:
        try:
            await bisect(records, self._attempt, self._condemn, self._learn)
        finally:
            self._checks.forget()

    async def _learn(self) -> bool:
        return self._checks.learn(await self._held.refused())

    async def _attempt(self, records: Sequence[Placed]) -> None:
        await self._path.attempt(self._path.take(by_partition(records), self._checks.look_at))

    async def _attempt_early(self, changes: Sequence[Change], *, accept: bool) -> None:
        await self._path.attempt(self._take_early(changes, accept))

    async def _attempt_waiting(self, taken: Sequence[Parked]) -> None:
        await self._path.attempt(self._take_waiting(taken))

    async def _condemn(self, placed: Placed, error: Exception) -> None:
        """Set aside a record that is refused alone; unless it is one that came early and is next after it."""
        tp, record = placed
        self._doubts.further(tp, record.offset)
        meta = meta_at(tp, record)
        waiting = self._held.waiting
        if early := waiting.take_early(meta):
            try:
                await self._attempt([placed])
            except Exception as alone:
                if not is_over_content(alone):
                    raise
                error = alone
            else:
                await self._one_by_one(early)
                return
            for change in early:
                self._held.waiting.add_early(change)
        await self._held.condemn(meta, error, {place_of(meta): record})
        await self._path.flush()

    async def _one_by_one(self, early: Sequence[Change]) -> None:
        """Early events of a key, in the order of their versions, as far as they are next and are not refused."""
        for number, change in enumerate(early):
            await bisect([change], partial(self._attempt_early, accept=False), self._condemn_early)
            waiting = self._held.waiting
            if waiting.is_early(change.meta) or waiting.blocks(change.meta._replace(offset=change.meta.offset + 1)):
                for later in early[number + 1 :]:
                    waiting.add_early(later)
                return

    async def _condemn_early(self, change: Change, error: Exception) -> None:
        await self._held.condemn(change.meta, error, {})
        await self._path.flush()

    async def _condemn_waiting(self, record: Parked, error: Exception) -> None:
        await self._held.condemn(meta_of(record), error, {}, [record])
        await self._path.flush()

    async def _take_early(self, changes: Sequence[Change], accept: bool) -> None:
        held = self._held
        await held.read(changes)
        folded = fold(self._projection, changes, held.rows.get, held.waiting, accept=accept)
        aside = await held.set_aside({}, Decoded(), folded)
        waits = {record.place for record in aside.parked}
        aside.released += [place for change in changes if (place := place_of(change.meta)) not in waits]
        aside.accept(folded.accepted)
        held.touch(changes[0].meta)
        held.merge(folded, aside)
        count(self._projection.name, folded)

    async def _take_waiting(self, taken: Sequence[Parked]) -> None:
        held = self._held
        dropped = [record for record in taken if record.request == "drop"]
        tried = [record for record in taken if record.request != "drop"]
        for record in taken:
            held.waiting.forget_early(record.place)
        decoded = held.changes(tried)
        await held.read(decoded.changes)
        folded = fold(self._projection, decoded.changes, held.rows.get, held.waiting, accept=True)
        decoded.in_order(held.waiting)
        aside = await held.set_aside({}, decoded, folded, tried)
        waits = {record.place for record in aside.parked}
        aside.released += [record.place for record in taken if record.place not in waits]
        aside.rulings += [Ruling(record.place, Decision.DROPPED, record.error or "") for record in dropped]
        aside.accept(folded.accepted)
        held.touch(meta_of(taken[0]))
        held.merge(folded, aside)
