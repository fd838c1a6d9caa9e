"""Writers, two owners and an operator at the model's outbox, and what is promised of it."""

from collections.abc import Coroutine, Mapping
from typing import Any

from atlas_outbox.relaying.sent import Row
from atlas_relay.batch_loop import BatchLoop
from atlas_relay.protocol import Caution, Refused
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.relay.outbox_model import GROUPS, Crash, Faults, Kafka, ModelChannel, ModelStore, Postgres, T

OWNERS = ("a", "b")
KEYS = (b"k0", b"k1", b"k2")
FAULTS = st.none() | st.tuples(st.integers(0, 5), st.sampled_from(("before", "after", "overtaken")))
VALUES = st.lists(st.sampled_from((b"good", b"good", b"bad")), min_size=1, max_size=3)
WRITES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)


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
        self.pumps: dict[str, BatchLoop | None] = dict.fromkeys(OWNERS)
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
            batches = self.pumps[owner]
            if batches is not None and batches.groups:
                self._run(owner, batches.cycle(), fault)

    @rule(owner=st.sampled_from(OWNERS), groups=st.sets(st.sampled_from(GROUPS), min_size=1), fault=FAULTS)
    def leave(self, owner: str, groups: set[int], fault: tuple[int, str] | None) -> None:
        """In an orderly way, as when another instance joins."""
        batches = self.pumps[owner]
        if batches is not None:
            self._run(owner, batches.leave(groups), fault)

    @rule()
    def postgres_crashes(self) -> None:
        """Every connection ends."""
        self.postgres.crash()
        self.pumps = dict.fromkeys(OWNERS)

    @rule()
    def operator_sends_parked_rows_again(self) -> None:
        self.postgres.retry()

    async def _adopt(self, owner: str, epochs: Mapping[int, int]) -> None:
        batches = self.pumps[owner]
        if batches is None:
            faults, caution = self.faults[owner], self.cautions[owner]
            channel = ModelChannel(self.kafka, faults, owner, caution)
            batches = BatchLoop(ModelStore(self.postgres, faults), channel, caution, 1 << 20, look_every_s=0)
        await batches.adopt(epochs)
        self.pumps[owner] = batches

    async def _relay(self, owner: str) -> None:
        """Take everything and relay a little, without a fault, in the middle of a step of the other owner."""
        try:
            await self._adopt(owner, self.postgres.take(GROUPS))
            batches = self.pumps[owner]
            assert batches is not None
            for _ in range(3):
                await batches.cycle()
        except (Crash, Refused):
            self.pumps[owner] = None

    def _sole_owner(self) -> BatchLoop:
        """The owner of everything as it stands, which must notice by itself what an operator does; else a new one."""
        for owner, batches in self.pumps.items():
            if batches is not None and {g: state.epoch for g, state in batches.groups.items()} == self.postgres.epochs:
                self.cautions[owner].condemned.clear()
                return batches
        return self._new_owner()

    def _new_owner(self) -> BatchLoop:
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
        batches = self._sole_owner()
        self.postgres.retry()
        for _ in range(1000):
            try:
                if not run(batches.cycle()):
                    break
            except Crash:  # it was fenced before, and would have begun anew by now
                batches = self._new_owner()
        self.nothing_twice_and_in_order()
        assert sorted(row[1] for row in self.kafka.log) == sorted(row[1] for row in self.committed), "left behind"
        assert (self.postgres.rows, self.postgres.parked) == ({}, {})
