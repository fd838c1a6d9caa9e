"""The real pump against a model of PostgreSQL and Kafka in which anything may crash at any step.

Writers append rows under the lock of their key and commit, out of id order, or roll back. Two owners relay. At each
step that touches a server a process may crash before it, or after it with the answer lost, or stand still while the
other owner takes its groups over and relays them, and then go on in the belief that it owns them.

After every run: each committed row was delivered exactly once, in order per key, and nothing is left behind. PostgreSQL
may crash as well, and then what was deleted without waiting for its disk is back.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from atlas_outbox.batches import Claim, Want
from atlas_outbox.horizon import Look
from atlas_outbox.leases import LeaseState
from atlas_outbox.parking import Key
from atlas_outbox.sent import Row, Sent
from atlas_relay.protocol import Caution, Refused
from atlas_relay.pump import UNSURE_MAX, Pump
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

T = TypeVar("T")
GROUPS = (0, 1)
OWNERS = ("a", "b")
KEYS = (b"k0", b"k1", b"k2")
FAULTS = st.none() | st.tuples(st.integers(0, 5), st.sampled_from(("before", "after", "overtaken")))

VALUES = st.lists(st.sampled_from((b"good", b"good", b"bad")), min_size=1, max_size=3)
WRITES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)


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


class ModelStore:
    """What atlas_outbox.reader.Reader promises, on the model."""

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
    """What atlas_relay.sender.Sender promises, on the model; a value of b"bad" is refused with its whole batch."""

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


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits, which is a hundred times quicker without an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise AssertionError("the model waited")


class OutboxMachine(RuleBasedStateMachine):
    """Writers, two owners, an operator."""

    @initialize()
    def start(self) -> None:
        self.postgres, self.kafka = Postgres(), Kafka()
        self.faults = {
            owner: Faults(lambda o=other: self._relay(o)) for owner, other in zip(OWNERS, OWNERS[::-1], strict=True)
        }
        self.pumps: dict[str, Pump | None] = dict.fromkeys(OWNERS)
        self.cautions = {owner: Caution(4) for owner in OWNERS}
        self.committed: list[Row] = []
        self.take_over("a", set(GROUPS), None)

    # Writers: a key is locked from its first row to the end of its transaction.

    @rule(key=st.sampled_from(KEYS), values=st.lists(st.just(b"good"), min_size=1, max_size=2))
    def begin(self, key: bytes, values: list[bytes]) -> None:
        for value in values:
            row_id = self.postgres.last_id = self.postgres.last_id + 1
            row = (KEYS.index(key) % 2, row_id, 0, "t", key, value, b"\x00")
            self.postgres.open.setdefault(key, []).append(row)

    @precondition(lambda self: self.postgres.open)
    @rule(commits=st.booleans())
    def end(self, commits: bool) -> None:
        """The transaction that began last ends first, so ids become visible out of order."""
        _key, rows = self.postgres.open.popitem()
        if commits:
            self.postgres.rows |= {row[1]: row for row in rows}
            self.committed += rows

    # Owners.

    @rule(owner=st.sampled_from(OWNERS), groups=st.sets(st.sampled_from(GROUPS), min_size=1), fault=FAULTS)
    def take_over(self, owner: str, groups: set[int], fault: tuple[int, str] | None) -> None:
        """The lease ran out; its former owner, if alive, does not know."""
        self._run(owner, self._adopt(owner, self.postgres.take(groups)), fault)

    @rule(owner=st.sampled_from(OWNERS), writes=WRITES, fault=FAULTS, times=st.integers(1, 3))
    def relay(self, owner: str, writes: dict[bytes, list[bytes]], fault: tuple[int, str] | None, times: int) -> None:
        """Some short transactions, then some cycles; an owner that has crashed comes back first."""
        for key, values in writes.items():
            if key not in self.postgres.open:
                self.begin(key, values)
                self.end(True)
        if self.pumps[owner] is None:
            self._run(owner, self._adopt(owner, self.postgres.take(GROUPS)), None)
        for _ in range(times):
            pump = self.pumps[owner]
            if pump is not None and pump.groups:
                self._run(owner, pump.cycle(), fault)

    @rule(owner=st.sampled_from(OWNERS), groups=st.sets(st.sampled_from(GROUPS), min_size=1), fault=FAULTS)
    def leave(self, owner: str, groups: set[int], fault: tuple[int, str] | None) -> None:
        """In an orderly way, as when another instance joins."""
        pump = self.pumps[owner]
        if pump is not None:
            self._run(owner, pump.leave(groups), fault)

    @rule()
    def postgres_crashes(self) -> None:
        """Every connection ends."""
        self.postgres.crash()
        self.pumps = dict.fromkeys(OWNERS)

    @rule()
    def operator_sends_parked_rows_again(self) -> None:
        self.postgres.retry()

    async def _adopt(self, owner: str, epochs: Mapping[int, int]) -> None:
        pump = self.pumps[owner]
        if pump is None:
            faults, caution = self.faults[owner], self.cautions[owner]
            channel = ModelChannel(self.kafka, faults, owner, caution)
            pump = Pump(ModelStore(self.postgres, faults), channel, caution, 1 << 20, look_every_s=0)
        await pump.adopt(epochs)
        self.pumps[owner] = pump

    async def _relay(self, owner: str) -> None:
        """Take everything and relay a little, without a fault, in the middle of a step of the other owner."""
        try:
            await self._adopt(owner, self.postgres.take(GROUPS))
            pump = self.pumps[owner]
            assert pump is not None
            for _ in range(3):
                await pump.cycle()
        except (Crash, Refused):
            self.pumps[owner] = None

    def _sole_owner(self) -> Pump:
        """The owner of everything as it stands, which must notice by itself what an operator does; else a new one."""
        for owner, pump in self.pumps.items():
            if pump is not None and {g: state.epoch for g, state in pump.groups.items()} == self.postgres.epochs:
                self.cautions[owner].condemned.clear()
                return pump
        return self._new_owner()

    def _new_owner(self) -> Pump:
        self.pumps["a"], self.cautions["a"] = None, Caution(4)
        run(self._adopt("a", self.postgres.take(GROUPS)))
        assert self.pumps["a"] is not None
        return self.pumps["a"]

    def _run(self, owner: str, work: Coroutine[Any, Any, Any], fault: tuple[int, str] | None) -> None:
        self.faults[owner].plan = fault
        try:
            run(work)
        except (Crash, Refused):
            self.pumps[owner] = None
        self.faults[owner].plan = None

    # Promises.

    @invariant()
    def nothing_twice_and_in_order(self) -> None:
        if not hasattr(self, "kafka"):
            return
        ids = [row[1] for row in self.kafka.log]
        assert len(ids) == len(set(ids)), "delivered twice"
        committed = {row[1] for row in self.committed}
        assert set(ids) <= committed, "delivered without a commit"
        for key in KEYS:
            of_key = [row[1] for row in self.kafka.log if row[4] == key]
            assert of_key == sorted(of_key), "out of order within a key"
            due = [row[1] for row in self.committed if row[4] == key]
            assert of_key == due[: len(of_key)], "a row of the key was skipped"

    @invariant()
    def only_bad_rows_park_a_key(self) -> None:
        if not hasattr(self, "kafka"):
            return
        heads: dict[bytes, Row] = {}
        for _row_id, row in sorted(self.postgres.parked.items()):
            heads.setdefault(row[4], row)
        assert all(row[5] == b"bad" for row in heads.values()), "a row waits behind none that failed"

    def teardown(self) -> None:
        """Faults end, the broker takes everything, one owner is left: nothing may be left behind."""
        if not hasattr(self, "kafka"):
            return
        self.kafka.takes_all = True
        while self.postgres.open:
            self.end(True)
        pump = self._sole_owner()
        self.postgres.retry()
        for _ in range(1000):
            try:
                if not run(pump.cycle()):
                    break
            except Crash:  # it was fenced before, and would have begun anew by now
                pump = self._new_owner()
        self.nothing_twice_and_in_order()
        assert sorted(row[1] for row in self.kafka.log) == sorted(row[1] for row in self.committed), "left behind"
        assert (self.postgres.rows, self.postgres.parked) == ({}, {})


OutboxMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
TestOutbox = OutboxMachine.TestCase


@pytest.mark.parametrize("kind", ["before", "after", "overtaken"])
@pytest.mark.parametrize("step", range(4))
def test_every_step_with_every_fault(step: int, kind: str) -> None:
    """Claim, send, delete, look: each is struck once whatever the machine above happens to try."""
    machine = OutboxMachine()
    machine.start()
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, None, 1)  # leaves marks that are not the next batch's
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good", b"good"]}, (step, kind), 1)
    machine.nothing_twice_and_in_order()
    machine.relay("b", {b"k0": [b"good"]}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


@pytest.mark.parametrize("kind", ["before", "after", "overtaken"])
@pytest.mark.parametrize("step", range(8))
def test_every_step_of_a_takeover_with_every_fault(step: int, kind: str) -> None:
    """Of a batch that is sent and not deleted: senders, fence, marks, delete, sender, tombstone, state, parked keys."""
    machine = OutboxMachine()
    machine.start()
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, (1, "after"), 1)
    machine.take_over("b", set(GROUPS), (step, kind))
    machine.nothing_twice_and_in_order()
    machine.relay("b", {b"k0": [b"good"]}, None, 2)
    machine.teardown()


@pytest.mark.parametrize("batches", [1, UNSURE_MAX - 1, UNSURE_MAX, UNSURE_MAX + 1, 2 * UNSURE_MAX])
def test_what_a_crash_of_postgres_brings_back_is_not_sent_again(batches: int) -> None:
    machine = OutboxMachine()
    machine.start()
    for _ in range(batches):
        machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, None, 1)
    machine.postgres_crashes()
    machine.relay("b", {}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


def test_who_leaves_takes_what_he_deleted_to_the_disk() -> None:
    """He lets his marks go, so nobody could tell any more what a crash of PostgreSQL brings back."""
    machine = OutboxMachine()
    machine.start()
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, None, 1)
    machine.leave("a", set(GROUPS), None)
    machine.postgres_crashes()
    machine.relay("b", {}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


@pytest.mark.parametrize("step", [0, 1])
def test_a_late_statement_of_a_connection_that_was_given_up_hides_no_sender(step: int) -> None:
    """The one of leave or adopt that writes a name. By then the owner is back with the same epochs, and what it sent
    since is known from its marks alone: who comes next must learn of them."""
    machine = OutboxMachine()
    machine.start()
    epochs = dict(machine.postgres.epochs)
    if step == 0:
        machine.leave("a", set(GROUPS), (step, "late"))
    else:
        machine.leave("a", set(GROUPS), None)
        machine._run("a", machine._adopt("a", epochs), (step, "late"))
    assert len(machine.faults["a"].late) == 1
    machine._run("a", machine._adopt("a", epochs), None)
    assert machine.pumps["a"] is not None
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, (1, "after"), 1)
    machine.faults["a"].late.pop()()
    machine.relay("b", {}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


def test_a_transaction_stays_open_while_claims_move_on() -> None:
    """Its rows have lower ids than all that was sent meanwhile; no floor may leave them out, however often we look."""
    machine = OutboxMachine()
    machine.start()
    machine.begin(b"k0", [b"good"])
    for _ in range(4):
        machine.relay("a", {b"k1": [b"good"], b"k2": [b"good"]}, None, 2)
    machine.end(True)
    machine.relay("a", {b"k0": [b"good"]}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


def test_the_model_notices_a_lost_row() -> None:
    """The model itself can fail: a row that never reaches the table the pump reads is missed at the end."""
    machine = OutboxMachine()
    machine.start()
    machine.committed.append((0, 1, 0, "t", b"k0", b"good", b"\x00"))
    with pytest.raises(AssertionError, match="left behind"):
        machine.teardown()
