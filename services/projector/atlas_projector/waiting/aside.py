"""What becomes of records that are not simply applied: which of them wait, why, and what is noted about them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiokafka import TopicPartition
from atlas_contracts.events import Meta
from atlas_projection.waiting import Waiting, place_of
from atlas_readmodel.store import Rows
from atlas_readmodel.waiting.parking import Decision, Parked, Place, Ruling, State

from atlas_projector.source import Record
from atlas_projector.waiting.parked import park, printable, record_of

OnPoison = Callable[[TopicPartition, Record, str], Awaitable[None]]


@dataclass(slots=True)
class Aside:
    """For the pending batch: records to be parked, those that wait no longer, decisions."""

    parked: list[Parked] = field(default_factory=list)
    released: list[Place] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)

    def accept(self, taken: Iterable[tuple[Meta, str]]) -> None:
        """Note what was taken without the versions before it; that it was set aside then is the later decision."""
        self.rulings = [Ruling(place_of(meta), Decision.ACCEPTED, why) for meta, why in taken] + self.rulings


class WaitingRecords:
    """The records of a batch by place; and those that waited before it, wherever they are by now."""

    def __init__(self, by_place: Mapping[Place, Record], held: Iterable[Sequence[Parked]], rows: Rows) -> None:
        self._by_place = by_place
        self._held = held
        self._rows = rows
        self._known: dict[Place, Parked] | None = None
        self._stored: set[tuple[str, int]] = set()

    def new(self, meta: Meta) -> Record | None:
        """The record, if it came with this batch."""
        return self._by_place.get(place_of(meta))

    async def waited(self, meta: Meta) -> Parked:
        """One that waited: it is in a batch that is not written yet, or in the database."""
        place = place_of(meta)
        if self._known is None:
            self._known = {parked.place: parked for records in self._held for parked in records}
        if place not in self._known and place[:2] not in self._stored:
            self._stored.add(place[:2])
            stored = (await self._rows.waiting([place[:2]])).records
            self._known = {parked.place: parked for parked in stored} | self._known
        return self._known[place]


async def set_aside(
    records: WaitingRecords,
    waiting: Waiting,
    on_poison: OnPoison,
    waits: Iterable[tuple[Meta, State]],
    rejected: Iterable[tuple[Meta, str]],
) -> Aside:
    """Park what waits, and what was rejected once `on_poison` has acknowledged it, unless it has before.

    What was dropped before waits no more.
    """
    aside = Aside()
    acknowledged: list[Awaitable[None]] = []
    for meta, state in waits:
        record = records.new(meta)
        kept = replace(await records.waited(meta), state=state) if record is None else park(meta, record.value, state)
        aside.parked.append(kept)
    for meta, said in rejected:
        reason = printable(said)
        if waiting.ruling(place_of(meta)) is Decision.DROPPED:
            aside.released.append(place_of(meta))
            continue
        partition = TopicPartition(meta.topic, meta.partition)
        record = records.new(meta)
        if record is not None:
            acknowledged.append(on_poison(partition, record, reason))
            aside.parked.append(park(meta, record.value, State.DEAD, reason))
        else:
            before = await records.waited(meta)
            if before.state is State.DEAD:
                aside.parked.append(before.failed_again(reason))
            else:
                acknowledged.append(on_poison(partition, record_of(before), reason))
                aside.parked.append(replace(before, state=State.DEAD, error=reason, request=None))
        unread = waiting.ruling(place_of(meta)) is Decision.UNREAD and record is not None
        aside.rulings.append(Ruling(place_of(meta), Decision.UNREAD if unread else Decision.SET_ASIDE, reason))
    # Together: a batch of dead letters is one round trip, however many there are.
    await asyncio.gather(*acknowledged)
    return aside
