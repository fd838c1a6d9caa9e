"""Pipelined batches give the rows of one big one: rows in flight, rows kept and rows read must agree."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from atlas_contracts.events import Meta
from atlas_projection import waiting
from atlas_projection.projection import Projection, Rejected, Row, Value
from atlas_projection.windows import WINDOW_START, windows
from atlas_projector.apply import workspace
from atlas_projector.apply.applier import Applier
from atlas_projector.source import Record
from atlas_readmodel.postgres.writer import Fenced
from atlas_readmodel.table import Table
from atlas_readmodel.waiting.parking import Decision, State
from atlas_yards.projection import YARDS
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.projector.applying import (
    ACTIONS,
    CODEC,
    PLACE,
    STEPS,
    MemoryWriter,
    Run,
    history,
    picky,
    record,
    troubled,
    worked,
)


async def never(_place: TopicPartition, _record: Record, reason: str) -> None:
    raise AssertionError(reason)


async def started(writer: MemoryWriter, at: int = 0) -> Applier:
    fresh = Applier(YARDS, CODEC, never)
    await fresh.begin(writer, {PLACE: at})  # type: ignore[arg-type]
    return fresh


async def run(records: list[Any], edges: list[int]) -> MemoryWriter:
    writer = MemoryWriter()
    under_test = await started(writer)
    for start, end in zip([0, *edges], [*edges, len(records)], strict=True):
        await under_test.apply({PLACE: records[start:end]})
    await under_test.flush()
    assert under_test.durable == {PLACE: len(records)}
    return writer


@settings(max_examples=60)
@given(
    yards=st.lists(st.sampled_from("abcdefgh"), max_size=30),
    cuts=st.sets(st.integers(1, 29)),
    kept=st.integers(0, 3),
)
def test_any_split_into_batches_gives_the_same_rows(yards: list[str], cuts: set[int], kept: int) -> None:
    records = history(yards)
    edges = sorted(cut for cut in cuts if cut < len(records))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "ROWS_KEPT", kept)
        split = asyncio.run(run(records, edges))
    assert split.rows == asyncio.run(run(records, [])).rows


async def test_records_behind_the_position_are_passed_over() -> None:
    records, writer = history(["a", "b", "a"]), MemoryWriter()
    under_test = await started(writer)
    for batch in (records[:2], records[:3], records):
        await under_test.apply({PLACE: batch})
    await under_test.flush()
    assert (writer.writes, under_test.events) == (2, 3)
    assert writer.rows[("a",)]["version"] == 2


async def test_a_row_still_known_is_not_read_again() -> None:
    records, writer = history(["a"] * 6), MemoryWriter()
    under_test = await started(writer)
    for n in range(6):
        await under_test.apply({PLACE: records[n : n + 1]})
    await under_test.flush()
    assert writer.loaded == 1


async def test_the_error_of_a_write_comes_with_the_next_call() -> None:
    records, writer = history(["a", "b"]), MemoryWriter()
    under_test = await started(writer)
    writer.next_offset = 7
    await under_test.apply({PLACE: records[:1]})
    with pytest.raises(Fenced):
        await under_test.flush()
    assert under_test.durable == {PLACE: 0}
    # Begun again from what is durable, nothing is left of what failed.
    writer.next_offset = 0
    await under_test.begin(writer, {PLACE: 0})  # type: ignore[arg-type]
    await under_test.apply({PLACE: records})
    await under_test.flush()
    assert {row["email"] for row in writer.rows.values()} == {"0@x", "1@x"}


async def test_poison_is_reported_before_the_position_passes_it() -> None:
    seen: list[int] = []
    writer = MemoryWriter()

    async def note(_place: TopicPartition, bad: Record, reason: str) -> None:
        assert writer.next_offset == 0
        assert "not framed Avro" in reason
        seen.append(bad.offset)

    under_test = Applier(YARDS, CODEC, note)
    await under_test.begin(writer, {PLACE: 0})  # type: ignore[arg-type]
    good, bad = history(["a", "b"])
    bad = ConsumerRecord(PLACE.topic, 0, 1, 0, 0, None, b"garbage", None, 0, 0, ())
    await under_test.apply({PLACE: [good, bad]})
    await under_test.flush()
    assert (seen, writer.next_offset, len(writer.rows)) == ([1], 2, 1)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, actions=ACTIONS)
def test_what_waits_is_the_same_however_it_was_delivered_and_whoever_ended(
    steps: list[tuple[str, str]], actions: list[Any]
) -> None:
    """Rows, records that wait and decisions; once more after what was wrong is mended and all is tried again."""
    topic, mended = troubled(steps), [False]

    async def both() -> None:
        whole = await worked(Run(picky(mended), topic), [])
        parts = await worked(Run(picky(mended), topic), actions)
        assert parts.writer.came_to() == whole.writer.came_to()
        mended[0] = True
        for each in (whole, parts):
            await each.retry_all()
        assert parts.writer.came_to() == whole.writer.came_to()

    asyncio.run(both())


def counted(row: Row | None, event: Value, _meta: Meta) -> Row | None:
    if event["email"] == "3@x" and event[WINDOW_START]:
        raise Rejected("refused in one window only, so in all of them")
    return {"country": "", WINDOW_START: event[WINDOW_START], "yards": (row["yards"] if row else 0) + 1}


def by_window(value: Value, meta: Meta) -> list[Value]:
    each = windows("registered_at", 4, every_ms=2)(value, meta)
    return [part | {"country": "", WINDOW_START: max(0, part[WINDOW_START])} for part in each]


BY_WINDOW = Projection(
    name="by_window",
    version=1,
    topics=("yards.events",),
    table=Table({"country": "text NOT NULL", WINDOW_START: "bigint NOT NULL", "yards": "bigint NOT NULL"},
                ("country", WINDOW_START)),
    each=by_window,
    handlers={"yards.YardRegistered": counted},
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(yards=st.lists(st.sampled_from("abcd"), max_size=20), broken=st.sets(st.integers(0, 19)), actions=ACTIONS)
def test_windows_count_each_event_once_however_it_was_delivered(
    yards: list[str], broken: set[int], actions: list[Any]
) -> None:
    """An event of several windows is in all of them or in none; later ones of a key wait behind one that failed."""
    topic = [record(offset, yard, 1, f"{offset}@x") for offset, yard in enumerate(yards)]
    topic = [replace(each, value=b"garbage") if each.offset in broken else each for each in topic]
    blocked: set[str] = set()
    expected: dict[Any, int] = {}
    for offset, yard in enumerate(yards):
        if offset in broken or offset == 3:
            blocked.add(yard)
        if yard not in blocked:
            for window in by_window({"registered_at": offset}, None):  # type: ignore[arg-type]
                key = ("", window[WINDOW_START])
                expected[key] = expected.get(key, 0) + 1
    done = asyncio.run(worked(Run(BY_WINDOW, topic), actions))
    assert {key: row["yards"] for key, row in done.writer.rows.items()} == expected


async def test_an_early_event_that_is_refused_in_its_turn_waits_as_a_dead_letter() -> None:
    """Whether it came with the version it waited for, before, or had waited too long."""
    topic = troubled([("skip", "a"), ("bad", "a"), ("late", "a")])
    for actions in ([], [2], [2, "flush"], [2, "restart"]):
        done = await worked(Run(picky([False]), topic), actions)
        assert [(r.place[2], r.state, r.error) for r in done.writer.parked.values()] == [
            (1, State.DEAD, "a bad address")
        ]
        assert done.writer.rulings == {(*PLACE, 1): Decision.SET_ASIDE}
        assert done.writer.rows[("a",)]["version"] == 2


async def test_one_that_waited_too_long_and_is_refused_keeps_those_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = troubled([("next", "a"), ("skip", "a"), ("next", "a")])
    topic[1] = record(1, "a", 3, "bad")
    done = await worked(Run(picky([False]), topic), [])
    assert {r.place[2]: r.state for r in done.writer.parked.values()} == {1: State.EARLY, 2: State.EARLY}
    monkeypatch.setattr(waiting, "EARLY_WAIT_S", 0.0)
    assert done.applier is not None
    await done.applier.take_overdue()
    await done.applier.flush()
    assert {r.place[2]: r.state for r in done.writer.parked.values()} == {1: State.DEAD, 2: State.BEHIND}
    assert (done.writer.rulings, done.applier.parked) == ({(*PLACE, 1): Decision.SET_ASIDE}, 2)


async def test_one_behind_that_is_refused_in_its_turn_is_ruled_on() -> None:
    """A rebuild meets it as well, and has to know that the live projection set it aside."""
    mended = [False]
    topic = [record(0, "a", 1, "bad"), record(1, "a", 2, "x"), replace(record(2, "a", 3, "x"), value=b"garbage")]
    done = await worked(Run(picky(mended), topic), [])
    assert list(done.writer.rulings) == [(*PLACE, 0)]
    mended[0] = True
    await done.retry_all()
    assert {r.place[2]: r.state for r in done.writer.parked.values()} == {2: State.DEAD}
    assert done.writer.rulings == {(*PLACE, 2): Decision.SET_ASIDE}
