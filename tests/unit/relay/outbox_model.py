"""A model of PostgreSQL and Kafka as a batches sees them, in which each step may fail."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from atlas_outbox.parking import Key
from atlas_outbox.relaying.batches import Claim, Want
from atlas_outbox.relaying.horizon import Look
from atlas_outbox.relaying.leases import LeaseState
from atlas_outbox.relaying.sent import Row, Sent
from atlas_outbox.relaying.store import Store
from atlas_relay.protocol import Caution, Refused

T = TypeVar("T")
GROUPS = (0, 1)


class Crash(Exception):
    """The process is gone, or so slow that another took its place."""


@dataclass
class Postgres:
    """The outbox's tables; every method is one transaction."""

    rows: dict[int, Row] = field(default_factory=dict)
    last_id: int = 0
    open: dict[bytes, list[Row]] = field(default_factory=dict)  # transactions under way, by the key they have locked
    parked: dict[int, Row] = field(default_factory=dict)
    deleted: dict[int, Row] = field(default_factory=dict)  # and not on disk yet
    senders: dict[int, str | None] = field(default_factory=lambda: dict.fromkeys(GROUPS))
    epochs: dict[int, int] = field(default_factory=lambda: dict.fromkeys(GROUPS, 0))
    revisions: dict[int, int] = field(default_factory=lambda: dict.fromkeys(GROUPS, 0))

    def take(self, groups: Collection[int]) -> dict[int, int]:
        for group in groups:
            self.epochs[group] += 1
        return {group: self.epochs[group] for group in groups}

    def delete(self, ids: Collection[int], *, durable: bool) -> None:
        self.deleted |= {row_id: self.rows.pop(row_id) for row_id in ids if row_id in self.rows}
        if durable:
            self.deleted.clear()

    def crash(self) -> None:
        self.rows |= self.deleted
        self.deleted.clear()

    def retry(self) -> None:
        for row in self.parked.values():
            self.revisions[row[0]] += 1
        self.rows |= self.parked
        self.parked.clear()


@dataclass
class Kafka:
    """Topics as a read-committed consumer sees them, the last mark of each sender, and which senders are fenced."""

    log: list[Row] = field(default_factory=list)
    marks: dict[str, Sequence[Sent]] = field(default_factory=dict)
    senders: int = 0
    fenced: set[str] = field(default_factory=set)
    takes_all: bool = False

    def new_sender(self, owner: str) -> str:
        self.senders += 1
        return f"{owner}-{self.senders}"

    def commit(self, sender: str, rows: Sequence[Row], marks: Mapping[str, Sequence[Sent]]) -> None:
        """An open transaction of a fenced sender simply never reaches the log."""
        if sender in self.fenced:
            raise Crash("fenced")
        self.log += rows
        self.marks |= marks


@dataclass
class Faults:
    """What goes wrong in this owner's next piece of work: after how many steps, and how."""

    overtake: Callable[[], Awaitable[None]]
    plan: tuple[int, str] | None = None
    late: list[Callable[[], object]] = field(default_factory=list)  # statements of connections that were given up

    async def step(self, effect: Callable[[], T]) -> T:
        """One step with an effect on a server: it happens once, or not at all, or happens and nobody hears of it."""
        kind = ""
        if self.plan is not None:
            steps, kind = self.plan
            self.plan = (steps - 1, kind) if steps else None
            kind = "" if steps else kind
        if kind == "before":
            raise Crash("before")
        if kind == "late":
            self.late.append(effect)
            raise Crash("late")
        if kind == "overtaken":
            await self.overtake()
        answer = effect()
        if kind == "after":
            raise Crash("after")
        return answer


class ModelStore(Store):
    """What it promises, on the model."""

    def __init__(self, postgres: Postgres, faults: Faults) -> None:
        self.postgres, self.faults = postgres, faults

    async def look(self) -> Look:
        writers = frozenset(str(rows[0][1]) for rows in self.postgres.open.values())
        return await self.faults.step(lambda: Look(self.postgres.last_id, writers))

    async def claim(self, wants: Sequence[Want], *, max_bytes: int) -> Claim:
        def effect() -> Claim:
            rows, groups = [], set()
            for want in wants:
                if self._is((want.group, want.epoch, want.revision)):
                    groups.add(want.group)
                    visible = sorted(r for r in self.postgres.rows.values() if r[0] == want.group)
                    rows += [row for row in visible if row[1] >= want.floor][: want.rows]
            return Claim(rows, groups)

        return await self.faults.step(effect)

    def _is(self, lease: tuple[int, int, int]) -> bool:
        group = lease[0]
        return (group, self.postgres.epochs[group], self.postgres.revisions[group]) == lease

    async def delete(self, epochs: Mapping[int, int], ids: Sequence[int], *, durable: bool) -> set[int]:
        def effect() -> set[int]:
            self.postgres.delete(ids, durable=durable)
            return self._held(epochs)

        return await self.faults.step(effect)

    async def delete_sent(self, sent: Sequence[Sent]) -> int:
        def effect() -> int:
            there = {row_id: (row[4], row[6]) for row_id, row in self.postgres.rows.items()}
            left = [batch for batch in sent if batch.is_all_of(there)]
            self.postgres.delete([row_id for batch in left for row_id in batch.ids], durable=True)
            return len(left)

        return await self.faults.step(effect)

    async def senders(self, groups: Collection[int]) -> dict[int, str | None]:
        return await self.faults.step(lambda: {group: self.postgres.senders[group] for group in groups})

    async def set_sender(
        self, epochs: Mapping[int, int], former: Mapping[int, str | None], sender: str | None
    ) -> set[int]:
        def effect() -> set[int]:
            held = {group for group in self._held(epochs) if self.postgres.senders[group] == former[group]}
            self.postgres.senders |= dict.fromkeys(held, sender)
            if held:
                self.postgres.deleted.clear()  # a commit that is waited for takes all before it to the disk
            return held

        return await self.faults.step(effect)

    def _held(self, epochs: Mapping[int, int]) -> set[int]:
        return {group for group, epoch in epochs.items() if self.postgres.epochs[group] == epoch}

    async def states(self, groups: Collection[int]) -> dict[int, LeaseState]:
        epochs, revisions = self.postgres.epochs, self.postgres.revisions
        return await self.faults.step(lambda: {g: LeaseState(g, epochs[g], revisions[g]) for g in groups})

    async def park(self, lease: tuple[int, int, int], errors: Mapping[int, str | None]) -> bool:
        def effect() -> bool:
            if not self._is(lease):
                return False
            for row_id in errors:
                self.postgres.parked[row_id] = self.postgres.rows.pop(row_id)
            return True

        return await self.faults.step(effect)

    async def parked_keys(self, group: int) -> dict[Key, int]:
        def effect() -> dict[Key, int]:
            keys: dict[Key, int] = {}
            for row_id, row in sorted(self.postgres.parked.items()):
                if row[0] == group:
                    keys.setdefault((row[3], row[4]), row_id)
            return keys

        return await self.faults.step(effect)


class ModelChannel:
    """What atlas_relay.sending.sender.Sender promises, on the model; b"bad" is refused with its whole batch."""

    def __init__(self, kafka: Kafka, faults: Faults, owner: str, caution: Caution) -> None:
        self.kafka, self.faults, self.caution = kafka, faults, caution
        self.name = kafka.new_sender(owner)

    async def learn(self, topics: Collection[str]) -> None: ...

    def forget_missing(self) -> None: ...

    def suspects(self, rows: Sequence[Row]) -> bool:
        return any(row[1] in self.caution.condemned for row in rows)

    def reason_against(self, row: Row) -> str | None:
        return self.caution.condemned.get(row[1])

    async def last_marks(self, senders: Collection[str]) -> list[Sent]:
        for name in sorted(senders):
            await self.faults.step(lambda name=name: self.kafka.fenced.add(name))
        marks = self.kafka.marks
        return await self.faults.step(lambda: [sent for name in senders for sent in marks.get(name, ())])

    async def forget_marks(self, senders: Collection[str]) -> None:
        await self.faults.step(lambda: self.kafka.commit(self.name, (), dict.fromkeys(senders, ())))

    async def send(self, rows: Sequence[Row], sent: Sequence[Sent]) -> None:
        size = self.caution.wire_rows
        batches = [rows[at : at + size] for at in range(0, len(rows), size)]
        refused = [b for b in batches if not self.kafka.takes_all and any(row[5] == b"bad" for row in b)]
        if refused:
            raise Refused([([row[1] for row in batch], "refused") for batch in refused])
        await self.faults.step(lambda: self.kafka.commit(self.name, rows, {self.name: sent}))
