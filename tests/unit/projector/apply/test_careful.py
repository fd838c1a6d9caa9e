"""One record among many that a server refuses: that one is found, and all others are as if it had never been."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from atlas_contracts.events import Meta
from atlas_errors.policy import describe, is_over_content
from atlas_projection.change import Change
from atlas_projection.projection import Handler, Projection, Rejected, Row, Value
from atlas_projection.waiting import Waiting
from atlas_projector.apply import careful
from atlas_projector.apply.applier import Applier
from atlas_projector.apply.careful import Checks, bisect
from atlas_projector.apply.decoding import Decoded
from atlas_projector.source import Record
from atlas_readmodel.documents import DOCUMENT_MAX_BYTES, Documents
from atlas_readmodel.postgres.writer import Batch
from atlas_readmodel.table import Table
from atlas_readmodel.waiting.parking import State
from atlas_yards.projection import YARDS
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.projector.applying import ACTIONS, CODEC, PLACE, STEPS, ParkingWriter, Run, record, troubled


class Refusing(ParkingWriter):
    """Refuses a whole batch for one tainted row, as PostgreSQL does."""

    refused = 0

    async def write(self, batch: Batch) -> None:
        if any(row is not None and row["tainted"] for row in batch.rows.values()):
            self.refused += 1
            raise asyncpg.CheckViolationError("a tainted row")
        await super().write(batch)

    async def try_each(self, rows: Mapping[Any, Any]) -> dict[Any, str]:
        reason = describe(asyncpg.CheckViolationError("a tainted row"))
        return {key: reason for key, row in rows.items() if row is not None and row["tainted"]}

    async def explain(self, _rows: Any, error: str) -> str:
        return error


class RefusingWithoutAWord(Refusing):
    """As Redis does: which of them it was can't be told."""

    async def try_each(self, _rows: Mapping[Any, Any]) -> dict[Any, str]:
        return {}


TABLE = Table(
    {"yard_id": "text NOT NULL", "version": "integer", "tainted": "boolean", "events": "bigint"}, ("yard_id",)
)


def counting(row: Row | None, event: Value, _meta: Meta) -> Row:
    tainted = event["email"].endswith("bad") or bool(row and row["tainted"])
    return {"yard_id": event["yard_id"], "tainted": tainted, "events": (row["events"] if row else 0) + 1}


def refusing(handler: Handler) -> Handler:
    def handle(row: Row | None, event: Value, meta: Meta) -> Row | None:
        if event["email"].endswith("bad"):
            raise Rejected("a tainted row")
        return handler(row, event, meta)

    return handle


COUNTING = Projection(
    name="counting",
    version=1,
    topics=("yards.events",),
    table=TABLE,
    versioned="version",
    handlers={"yards.YardRegistered": counting, "yards.YardProfileChanged": counting},
)
REFUSED_BY_HANDLER = replace(COUNTING, handlers={name: refusing(each) for name, each in COUNTING.handlers.items()})


class Patient(Run):
    """As the live loop does: after a refusal it begins again at what is durable, and looks closer."""

    async def begin_again(self, error: Exception) -> None:
        assert self.applier is not None
        if not is_over_content(error) or not self.applier.doubt():
            raise error
        await self.applier.begin(self.writer, {PLACE: self.writer.next_offset})  # type: ignore[arg-type]

    async def to_the_end(self, actions: list[Any]) -> None:
        await self.restart()
        for action in [*actions, "flush"]:
            assert self.applier is not None
            try:
                if action in ("flush", "move"):
                    await self.applier.flush()
                if action in ("restart", "move"):
                    await self.restart()
                if isinstance(action, int):
                    await self.deliver(action)
            except Exception as error:  # noqa: BLE001 - raised there
                await self.begin_again(error)
        while self.writer.next_offset < len(self.topic):
            try:
                await self.finish()
            except Exception as error:  # noqa: BLE001 - raised there
                await self.begin_again(error)


@pytest.mark.parametrize("writer", [Refusing, RefusingWithoutAWord])
@pytest.mark.parametrize("further", [1, 5000])
@settings(max_examples=100, deadline=None)
@given(steps=STEPS, actions=ACTIONS)
def test_what_a_server_refuses_comes_to_what_a_handler_refuses(
    writer: type[Refusing], further: int, steps: list[tuple[str, str]], actions: list[Any]
) -> None:
    """However it was delivered, whoever ended, and how long one is careful: rows, what waits, what was decided."""
    topic = troubled(steps)

    async def both() -> None:
        by_handler = Run(REFUSED_BY_HANDLER, topic)
        await by_handler.restart()
        await by_handler.finish()
        by_server = Patient(COUNTING, topic, writer())
        await by_server.to_the_end(actions)
        assert by_server.writer.came_to() == by_handler.writer.came_to()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(careful, "CAREFUL_RECORDS", further)
        asyncio.run(both())


@pytest.mark.parametrize("fetched", [1, 5])
def test_the_record_whose_early_follower_is_refused_is_taken(fetched: int) -> None:
    topic = [record(0, "a", 2, "bad"), record(1, "b", 1, "x"), record(2, "a", 1, "x"), record(3, "b", 2, "x")]

    async def work() -> Patient:
        done = Patient(COUNTING, topic, Refusing())
        await done.to_the_end([fetched] * 4)
        return done

    done = asyncio.run(work())
    assert {place[2]: found.state for place, found in done.writer.parked.items()} == {0: State.DEAD}
    assert {key: row["events"] for key, row in done.writer.rows.items() if row is not None} == {("a",): 1, ("b",): 2}


def test_many_that_are_refused_cost_two_attempts() -> None:
    topic = [record(number, f"k{number}", 1, "bad" if number % 3 else "x") for number in range(90)]

    async def work() -> Refusing:
        writer = Refusing()
        await Patient(COUNTING, topic, writer).to_the_end([90])
        return writer

    writer = asyncio.run(work())
    assert len(writer.parked) == 60
    assert writer.refused == 2  # without care, and with; then what is refused is known


def test_what_waits_is_tried_again_up_to_what_a_server_refuses() -> None:
    topic = [record(0, "a", 1, "x"), replace(record(1, "a", 2, "x"), value=b"garbage")]
    topic += [record(2, "a", 2, "x"), record(3, "a", 3, "bad"), record(4, "a", 4, "x"), record(5, "b", 1, "x")]

    async def work() -> Patient:
        done = Patient(COUNTING, topic, Refusing())
        await done.to_the_end([])
        assert {r.place[2]: r.state for r in done.writer.parked.values()} == {
            1: State.DEAD, 2: State.BEHIND, 3: State.BEHIND, 4: State.BEHIND,
        }  # fmt: skip
        assert done.applier is not None
        of_key = [done.writer.parked[place] for place in sorted(done.writer.parked)]
        of_key[0] = replace(of_key[0], request="drop")
        await done.applier.settle(of_key)
        return done

    done = asyncio.run(work())
    assert {r.place[2]: r.state for r in done.writer.parked.values()} == {3: State.DEAD, 4: State.BEHIND}
    assert done.writer.parked[(*PLACE, 3)].error == "CheckViolationError: a tainted row"
    assert done.writer.rows[("a",)]["events"] == 2


def test_of_many_records_few_writes_are_refused() -> None:
    topic = [record(n, f"u{n}", 1, "bad" if n == 700 else "x") for n in range(1000)]
    done = Patient(COUNTING, topic, Refusing())
    asyncio.run(done.to_the_end([]))
    assert isinstance(done.writer, Refusing)
    assert (len(done.writer.rows), done.writer.refused <= 12, done.writer.writes <= 12) == (999, True, True)
    assert done.applier is not None
    assert done.applier.events == 1000


def test_care_that_does_not_help_is_given_up() -> None:
    """An error that is not a record's must not be tried again without end."""

    class Broken(Refusing):
        async def waiting(self, _partitions: Any) -> Any:
            raise TypeError("a defect")

    async def work() -> None:
        under_test = Applier(COUNTING, CODEC, never)
        assert under_test.doubt()
        assert not under_test.doubt()

    asyncio.run(work())


async def never(_place: TopicPartition, _record: Record, reason: str) -> None:
    raise AssertionError(reason)


@given(bad=st.sets(st.integers(0, 39)), count=st.integers(0, 40))
def test_bisecting_does_all_in_order_but_the_bad(bad: set[int], count: int) -> None:
    done: list[int] = []
    condemned: list[int] = []

    async def attempt(items: Sequence[int]) -> None:
        if bad & set(items):
            raise ValueError
        done.extend(items)

    async def condemn(item: int, _error: Exception) -> None:
        condemned.append(item)

    asyncio.run(bisect(range(count), attempt, condemn))
    assert done == [item for item in range(count) if item not in bad]
    assert condemned == [item for item in range(count) if item in bad]


async def test_bisecting_stops_at_what_is_no_records_fault() -> None:
    async def attempt(_items: Sequence[int]) -> None:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        await bisect([1, 2], attempt, None)  # type: ignore[arg-type]


def looked_at(projection: Projection, value: Any, key: Any, sequence: bytes = b"1") -> str | None:
    """What is said about an event of this key, whose handler answers the value."""
    change = Change(key, lambda *_: value, {}, Meta("t", 0, 7, 0, b"k", [("ce_sequence", sequence)]))
    decoded, held = Decoded(changes=[change]), Waiting(ordered=True)
    Checks(projection).look_at(decoded, held)
    if decoded.poison:
        assert (decoded.changes, [meta.offset for meta, _ in decoded.poison]) == ([], [7])
        assert held.blocked == {("t", 0, b"k"): 7}
        return decoded.poison[0][1]
    try:
        assert decoded.changes[0].handler(None, {}, change.meta) == value
    except Rejected as rejected:
        return str(rejected)
    return None


BOARD = replace(YARDS, table=Documents(("yard_id",)), versioned=None, cached=False)
GOOD = {"yard_id": "u", "tainted": False, "events": 1}


@pytest.mark.parametrize(
    ("projection", "value", "key", "said"),
    [
        (COUNTING, GOOD, ("u",), None),
        (COUNTING, None, ("u",), None),
        (COUNTING, GOOD, ("u\0",), "column yard_id: invalid byte sequence"),
        (COUNTING, GOOD, (None,), "column yard_id: it must not be null"),
        (COUNTING, GOOD, (["u"],), "yard_id: unhashable type"),
        (COUNTING, GOOD | {"events": 2**63}, ("u",), "column events: out of range of an integer of 64 bits"),
        (COUNTING, {"yard_id": "u"}, ("u",), "column tainted: missing, expected boolean"),
        (COUNTING, ["u"], ("u",), "expected a row as a dict, found list"),
        (BOARD, GOOD, ("u",), None),
        (BOARD, GOOD, ("\ud800",), "yard_id: "),
        (BOARD, GOOD | {"at": object()}, ("u",), "field at: Type is not JSON serializable: object"),
        (BOARD, GOOD | {"at": 2**70}, ("u",), "field at: Integer exceeds 64-bit range"),
        (BOARD, GOOD | {"at": "x" * DOCUMENT_MAX_BYTES}, ("u",), "field at: a document of 4,194,"),
        (BOARD, 7, ("u",), "expected a row as a dict, found int"),
    ],
)
def test_what_is_known_to_be_refused_is_not_sent(
    projection: Projection, value: Any, key: Any, said: str | None
) -> None:
    found = looked_at(projection, value, key)
    assert found is None if said is None else (found or "").startswith(said)


def test_a_version_that_its_column_does_not_take() -> None:
    assert looked_at(COUNTING, GOOD, ("u",), b"%d" % 2**31) == (
        "column version: out of range of an integer of 32 bits, found 2147483648"
    )


def test_an_event_of_several_rows_is_poison_once_and_as_a_whole() -> None:
    meta = Meta("t", 0, 7, 0, b"k", ())
    changes = [Change((key,), lambda *_: GOOD, {}, meta) for key in ("a", "b\0", "c\0")]
    decoded = Decoded(changes=changes)
    Checks(replace(COUNTING, versioned=None)).look_at(decoded, Waiting(ordered=True))
    assert (decoded.changes, len(decoded.poison)) == ([], 1)
