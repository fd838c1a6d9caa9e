"""A record that ends the process, whatever it dies of: the others are handled, and that one is set aside unread."""

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import TopicPartition
from atlas_projection.projection import Row
from atlas_projector.apply import crashes
from atlas_projector.apply.applier import Applier
from atlas_projector.apply.crashes import Taken
from atlas_projector.source import Record
from atlas_readmodel.postgres.deaths import Mark
from atlas_readmodel.postgres.writer import Waits
from atlas_readmodel.waiting.parking import Decision, Place, State
from atlas_yards.projection import YARDS
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.projector.applying import CODEC, PLACE, ParkingWriter, record


class Died(BaseException):
    """What no code catches."""


def deadly(row: Row | None, event: Any, meta: Any) -> Row | None:
    if event["email"] == "deadly":
        raise Died
    return YARDS.handlers["yards.YardRegistered"](row, event, meta)


DEADLY = replace(YARDS, handlers={"yards.YardRegistered": deadly})


@dataclass
class MarkingWriter(ParkingWriter):
    """Marks as the tables keep them, of one partition."""

    marks: dict[Place, Mark] = field(default_factory=dict)
    reader: str | None = None
    began_at: int = -1
    deaths: int = 0
    marked: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def take_over(self, reader: str) -> int:
        got_on = self.reader is None or self.began_at != self.next_offset
        self.deaths = 0 if got_on else self.deaths + (self.reader != reader)
        self.reader, self.began_at = reader, self.next_offset
        return self.deaths

    async def waiting(self, partitions: Any) -> Waits:
        return replace(await super().waiting(partitions), marks=dict(self.marks))

    async def mark(self, place: Place, records: int, reader: str) -> None:
        self.marked += 1
        before = self.marks.get(place, Mark(records, 0, ""))
        self.marks[place] = Mark(records, before.attempts + (before.reader != reader), reader)

    async def unmark(self, places: Any) -> None:
        for place in places:
            self.marks.pop(place, None)


async def lived(writer: MarkingWriter, topic: list[Any], at_once: int) -> int:
    """Processes one after the other until all is done; how many died."""

    async def set_aside(_place: TopicPartition, _record: Record, _reason: str) -> None:
        return

    for died in range(100):
        applier, reader = Applier(DEADLY, CODEC, set_aside), uuid.uuid4().hex
        taken = Taken(reader, {PLACE: writer.take_over(reader)})
        await applier.begin(writer, {PLACE: writer.next_offset}, taken=taken)  # type: ignore[arg-type]
        try:
            while applier.expected[PLACE] < len(topic):
                at = applier.expected[PLACE]
                await applier.apply({PLACE: topic[at : at + at_once]})
            await applier.flush()
        except Died:
            await applier._path.stop()
        else:
            return died
    raise AssertionError("it never ends")


@settings(max_examples=25, deadline=None)
@given(deadly=st.sets(st.integers(0, 299), max_size=2), at_once=st.sampled_from([7, 100, 300]))
def test_the_others_are_handled_after_a_bounded_number_of_deaths(deadly: set[int], at_once: int) -> None:
    topic = [record(n, f"u{n}", 1, "deadly" if n in deadly else "x") for n in range(300)]
    writer = MarkingWriter()
    died = asyncio.run(lived(writer, topic, at_once))
    assert {key for (key,) in writer.rows} == {f"u{n}" for n in range(300)} - {f"u{n}" for n in deadly}
    assert {place[2]: kept.state for place, kept in writer.parked.items()} == dict.fromkeys(deadly, State.DEAD)
    assert writer.rulings == {(*PLACE, n): Decision.UNREAD for n in deadly}
    assert died <= 6 * len(deadly)
    assert writer.marks == {}
    assert all("the process died" in (kept.error or "") for kept in writer.parked.values())
    if not deadly:
        assert (died, writer.marked) == (0, 0)


def test_a_death_without_a_record_to_blame_sets_nothing_aside() -> None:
    """Killed at the same place again and again, while nothing came or by an operator."""
    topic = [record(n, f"u{n}", 1, "x") for n in range(200)]
    writer = MarkingWriter()
    for _ in range(10):
        writer.take_over(uuid.uuid4().hex)
    assert asyncio.run(lived(writer, topic, 100)) == 0
    assert (len(writer.rows), writer.parked) == (200, {})
    assert writer.marked <= 200 / crashes.MARKED_TOGETHER + 2


def test_an_outage_while_records_are_marked_is_no_death() -> None:
    """The same process begins again: what it had marked itself counts nothing."""

    async def work() -> None:
        writer = MarkingWriter()
        await writer.mark((*PLACE, 0), 1, "me")
        for _ in range(5):
            await writer.mark((*PLACE, 0), 1, "me")
        assert writer.marks[(*PLACE, 0)].deaths("me") == 0
        assert writer.marks[(*PLACE, 0)].deaths("next") == 1

    asyncio.run(work())
