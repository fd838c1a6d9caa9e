"""What columns say of a row is what `lag_row` says of it; where to read on; commits of a topic that was made again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from aiokafka import TopicPartition
from atlas_health_aggregator.groups import GroupOffsets
from atlas_health_aggregator.judging.columns import OTHER, SAME, UNKNOWN, StandsReader, position_of, to_read, wanted
from atlas_health_aggregator.judging.lag_rows import LagState, Position, Scan, lag_row
from atlas_health_aggregator.judging.layout import Places, Range
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.health_aggregator.one_row import OTHER_ID, commits, lags_of, scans_of, stands_of

NOW_MS = 1_700_000_100_000
AT = Position(
    group="g", topic="t", partition=0, committed=10, start=0, end=30, members=1, retention_ms=-1, stable=30,
    topic_id="one",
)  # fmt: skip


@st.composite
def told(draw: st.DrawFn) -> tuple[Position, Scan | None]:
    start = draw(st.integers(0, 12))
    stable = draw(st.integers(start, 24))
    end = draw(st.integers(stable, 30))
    position = Position(
        group="g",
        topic="t",
        partition=0,
        committed=draw(st.none() | st.integers(0, 35)),
        start=start,
        end=end,
        members=draw(st.sampled_from([None, 0, 1, 3])),
        retention_ms=-1,
        stable=stable,
        blocked=draw(st.booleans()),
        same_topic=draw(st.sampled_from([None, True, False])),
        topic_id="one",
        ours=draw(st.booleans()),
    )
    if position.committed is None:
        position = replace(position, same_topic=None)
    else:
        position = replace(position, told=draw(st.none() | st.integers(0, 9)))
    origin = draw(st.integers(0, end))
    time_ms = draw(st.none() | st.integers(-1, -1) | st.integers(NOW_MS - 10_000, NOW_MS + 100))
    scan = Scan(origin, draw(st.integers(origin, end)), time_ms, draw(st.booleans()))
    return position, draw(st.none() | st.just(scan))


@given(told())
def test_a_column_says_what_the_row_alone_says(told: tuple[Position, Scan | None]) -> None:
    position, scan = told
    expected = lag_row(position, scan, NOW_MS)
    found, (row,) = lags_of([(position, scan)], NOW_MS)
    seconds = None if np.isnan(found.seconds[row]) else round(float(found.seconds[row]), 3)
    state = list(LagState)[found.state[row]]
    assert (int(found.records[row]), seconds, int(found.lost[row]), state) == (
        expected.lag_records,
        expected.lag_seconds,
        expected.records_lost,
        expected.state,
    )
    assert position_of(found.stands, row, {}) == position


def _at(**changes: Any) -> Position:
    if "end" in changes:
        changes = {"stable": changes["end"], **changes}
    return replace(AT, **changes)


BLOCKED: dict[str, Any] = {"stable": 20, "blocked": True}


@pytest.mark.parametrize(
    ("changes", "known", "expected"),
    [
        ({}, None, 10),
        ({"committed": None, "start": 3}, None, 3),
        ({"start": 12}, None, 12),
        ({"committed": 30}, None, None),
        ({"committed": 31}, None, 0),  # of another topic, so it has read nothing of this one
        ({"committed": 31, "same_topic": True}, None, None),
        ({"committed": 3, "same_topic": False}, None, 0),
        ({"start": 0, "end": 0, "committed": 0}, None, None),
        ({}, Scan(10, 12, NOW_MS), None),  # still the first unread record
        ({"start": 13}, Scan(10, 12, NOW_MS), 13),  # it was deleted since
        ({}, Scan(10, 25, None), 25),  # markers up to 25, read on from there
        ({"end": 25}, Scan(10, 25, None), None),
        ({"start": 28}, Scan(10, 25, None), 28),
        ({"end": 20}, Scan(10, 25, NOW_MS), 10),  # what it went for is not there any more
        ({"committed": 18, **BLOCKED}, Scan(18, 20, NOW_MS, open=True), None),
        # A record that may yet be aborted is read again when its transaction has ended.
        ({"committed": 18, "stable": 31, "end": 31}, Scan(18, 20, NOW_MS, open=True), 18),
        ({"committed": 18, "stable": 31, "end": 31}, Scan(18, 20, NOW_MS), None),
    ],
)
def test_where_to_read_on(changes: dict[str, Any], known: Scan | None, expected: int | None) -> None:
    stands = stands_of([_at(**changes)])
    rows, at = to_read(stands, scans_of(stands, {} if known is None else {0: known}))
    assert at.tolist() == ([] if expected is None else [expected])
    assert rows.tolist() == ([] if expected is None else [0])


def test_a_place_and_an_offset_are_read_once_for_all_groups() -> None:
    stands = stands_of([_at(group=name, committed=offset) for name, offset in (("a", 10), ("b", 20), ("c", 10))])
    scans = scans_of(stands, {})
    found = [
        (each.partition, each.offset, rows.tolist()) for each, rows, _ in wanted(stands, scans, *to_read(stands, scans))
    ]
    assert found == [(0, 10, [0, 2]), (0, 20, [1])]


def test_what_was_read_goes_for_one_commit_alone() -> None:
    before = stands_of([_at()])
    scans = scans_of(before, {0: Scan(10, 12, NOW_MS)})
    stays = scans.carried(np.array([0]), stands_of([_at(end=31)]))
    moved = scans.carried(np.array([0]), stands_of([_at(committed=11)]))
    assert (stays.known.tolist(), moved.known.tolist()) == ([True], [False])
    assert scans.known.tolist() == [True], "a report of before keeps what it has"


def _same(reader: StandsReader, offset: int, topic_id: str, known: str | None = None) -> int:
    group = GroupOffsets("g", {"t": commits({0: offset}, known)}, 1)
    places = Places.of({TopicPartition("t", 0): Range(0, 30, 30)}, {"t": topic_id})
    return int(reader.read([group], places).same[0])


def test_a_commit_with_the_topic_s_id_is_judged_by_it() -> None:
    assert _same(StandsReader(), 3, "one", "one") == SAME
    assert _same(StandsReader(), 3, "one", OTHER_ID) == OTHER


def test_a_commit_without_one_is_of_the_topic_that_was_there_when_it_was_first_seen() -> None:
    reader = StandsReader()
    assert [_same(reader, 3, "one"), _same(reader, 3, "one")] == [UNKNOWN, UNKNOWN]
    assert [_same(reader, 3, "two"), _same(reader, 3, "two")] == [OTHER, OTHER]
    assert [_same(reader, 4, "two"), _same(reader, 3, "two")] == [UNKNOWN, UNKNOWN]


def test_what_is_known_of_rows_goes_with_them() -> None:
    reader = StandsReader()
    _same(reader, 3, "one")
    assert _same(reader, 3, "two") == OTHER
    places = Places.of({TopicPartition(topic, 0): Range(0, 30, 30) for topic in ("a", "t")}, {"t": "two", "a": "three"})
    groups = [GroupOffsets(name, {topic: commits({0: 3}) for topic in ("a", "t")}, 1) for name in ("e", "g")]
    stands = reader.read(groups, places)
    assert [(block.group, block.topic) for block in stands.layout.blocks] == [
        ("e", "a"),
        ("e", "t"),
        ("g", "a"),
        ("g", "t"),
    ]
    assert stands.same.tolist() == [UNKNOWN, UNKNOWN, UNKNOWN, OTHER]
