"""An applier on a topic and a writer in memory, and whoever works on them may end at any time."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.events import Meta
from atlas_contracts.registry import Registry
from atlas_projection.projection import Handler, Projection, Rejected, Row, Value
from atlas_projector.apply.applier import Applier
from atlas_projector.source import Record
from atlas_readmodel.postgres.writer import Batch, Fenced, Waits
from atlas_readmodel.waiting.parking import Decision, Parked, Place
from atlas_yards.projection import YARDS
from hypothesis import strategies as st

from tests.contexts import SCHEMAS

CODEC = Codec(Registry.load(SCHEMAS))
PLACE = TopicPartition("yards.events", 0)


class MemoryWriter:
    """The writer's promises, kept in a dict; each write takes a few turns of the loop."""

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.next_offset = 0
        self.writes = 0
        self.loaded = 0

    async def load(self, keys: Collection[Any]) -> dict[Any, Any]:
        self.loaded += len(keys)
        await asyncio.sleep(0)
        return {key: dict(self.rows[key]) for key in keys if key in self.rows}

    async def waiting(self, _partitions: Any) -> Waits:
        return Waits((), {}, {})

    async def empty(self) -> bool:
        return not any(self.rows.values())

    async def write(self, batch: Batch) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        (advance,) = batch.advances
        if advance.expected != self.next_offset:
            raise Fenced("moved on")
        self.writes += 1
        self.next_offset = advance.next_offset
        for key, row in batch.rows.items():
            self.rows[key] = row


def record(offset: int, yard: str, version: int, email: str) -> Any:
    kind = "yards.YardRegistered" if version == 1 else "yards.YardProfileChanged"
    value: Mapping[str, Any] = {"yard_id": yard, "email": email, "display_name": email, "country": None}
    time = {"registered_at": offset} if version == 1 else {"changed_at": offset}
    framed = CODEC.encode(kind, {**value, **time})
    headers = (("ce_sequence", str(version).encode()),)
    return ConsumerRecord(PLACE.topic, 0, offset, 0, 0, yard.encode(), framed, None, 0, 0, headers)


def history(yards: list[str]) -> list[Any]:
    versions: dict[str, int] = {}
    records = []
    for offset, yard in enumerate(yards):
        versions[yard] = versions.get(yard, 0) + 1
        records.append(record(offset, yard, versions[yard], f"{offset}@x"))
    return records


class ParkingWriter(MemoryWriter):
    """The rest of the writer's promises: what waits and what was decided moves with the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.parked: dict[Place, Parked] = {}
        self.rulings: dict[Place, Decision] = {}

    async def waiting(self, _partitions: Any) -> Waits:
        return Waits([self.parked[place] for place in sorted(self.parked)], dict(self.rulings), {})

    async def write(self, batch: Batch) -> None:
        await super().write(batch)
        for place in batch.released:
            self.parked.pop(place, None)
            if self.rulings.get(place) is Decision.SET_ASIDE:
                del self.rulings[place]
        self.parked |= {record.place: record for record in batch.parked}
        self.rulings |= {ruling.place: ruling.decision for ruling in batch.rulings}

    def came_to(self) -> Any:
        """Rows and what waits, in a form to be compared."""
        rows = {key: row for key, row in self.rows.items() if row is not None}
        return rows, {place: (record.state, record.attempts) for place, record in self.parked.items()}, self.rulings


@dataclass
class Run:
    """A projection, its topic, and what is durable of it; whoever works on that may end at any time."""

    projection: Projection
    topic: list[Any]
    writer: ParkingWriter = field(default_factory=ParkingWriter)
    applier: Applier | None = None

    async def restart(self) -> None:
        """Another process goes on from what is durable; what this one had in flight is lost, or was written."""

        async def set_aside(_place: TopicPartition, _record: Record, _reason: str) -> None:
            return

        if self.applier is not None:
            await self.applier._path.stop()
        self.applier = Applier(self.projection, CODEC, set_aside)
        await self.applier.begin(self.writer, {PLACE: self.writer.next_offset})  # type: ignore[arg-type]

    async def deliver(self, count: int) -> None:
        """The next records, those that were delivered and are not durable among them."""
        assert self.applier is not None
        at = self.applier.expected[PLACE]
        await self.applier.apply({PLACE: self.topic[max(0, at - 1) : at + count]})

    async def retry_all(self) -> None:
        """What an operator asks for who has mended what was wrong."""
        assert self.applier is not None
        await self.applier.flush()
        keys = {record.key for record in self.writer.parked.values()}
        for key in sorted(keys, key=repr):
            waits = sorted((r for r in self.writer.parked.values() if r.key == key), key=lambda r: r.place)
            await self.applier.settle([replace(record, request="retry") for record in waits])

    async def finish(self) -> None:
        assert self.applier is not None
        await self.applier.apply({PLACE: self.topic})
        await self.applier.flush()


def picky(mended: list[bool]) -> Projection:
    """YARDS, which does not take an address that ends in `bad` until it is mended."""

    def checked(handler: Handler) -> Handler:
        def handle(row: Row | None, event: Value, meta: Meta) -> Row | None:
            if event["email"].endswith("bad") and not mended[0]:
                raise Rejected("a bad address")
            return handler(row, event, meta)

        return handle

    return replace(YARDS, handlers={name: checked(handler) for name, handler in YARDS.handlers.items()})


def troubled(steps: list[tuple[str, str]]) -> list[Any]:
    """A topic on which versions are refused, repeated, missing, late, or no events at all."""
    records: list[Any] = []
    versions: dict[str, int] = {}
    held: dict[str, list[int]] = {}
    for what, yard in steps:
        offset, version = len(records), versions.get(yard, 0)
        if what == "garbage":
            records.append(replace(record(offset, yard, 1, "x"), value=b"garbage"))
            continue
        if what == "late" and held.get(yard):
            records.append(record(offset, yard, held[yard].pop(), f"{offset}@late"))
            continue
        if what == "again" and version:
            records.append(record(offset, yard, version, f"{offset}@again"))
            continue
        if what == "skip":
            held.setdefault(yard, []).append(version + 1)
            version += 1
        versions[yard] = version + 1
        records.append(record(offset, yard, version + 1, f"{offset}@{'bad' if what == 'bad' else 'x'}"))
    return records


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["next", "next", "again", "skip", "late", "late", "bad", "garbage"]), st.sampled_from("ab")
    ),
    min_size=5,
    max_size=25,
)


ACTIONS = st.lists(st.sampled_from([1, 2, 3, 7, "restart", "flush", "move"]), min_size=3, max_size=25)


async def worked(under_test: Run, actions: list[Any]) -> Run:
    await under_test.restart()
    for action in actions:
        if action in ("flush", "move"):
            assert under_test.applier is not None
            await under_test.applier.flush()
        if action in ("restart", "move"):
            await under_test.restart()
        if isinstance(action, int):
            await under_test.deliver(action)
    await under_test.finish()
    return under_test
