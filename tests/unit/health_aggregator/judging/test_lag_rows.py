"""Lag from offsets and timestamps."""

from dataclasses import replace
from typing import Any

import pytest
from atlas_health_aggregator.judging.lag_rows import LagState, Position, Scan, lag_row, worst_first

NOW_MS = 1_700_000_100_000
AT = Position(
    group="g", topic="t", partition=0, committed=10, start=0, end=30, members=1, retention_ms=3_600_000, stable=30
)  # fmt: skip


def _at(**changes: Any) -> Position:
    if "end" in changes:
        changes = {"stable": changes["end"], **changes}
    return replace(AT, **changes)


def test_seconds_are_the_age_of_the_first_unread_record() -> None:
    row = lag_row(AT, Scan(10, 10, NOW_MS - 90_500), NOW_MS)
    assert (row.lag_records, row.lag_seconds, row.state) == (20, 90.5, LagState.LAGGING)
    assert row.retention_margin_s == 3600 - 90.5
    assert row.records_lost == 0


def test_caught_up_is_zero_whatever_the_clock_says() -> None:
    row = lag_row(_at(committed=30), None, NOW_MS)
    assert (row.lag_records, row.lag_seconds, row.state) == (0, 0.0, LagState.CAUGHT_UP)
    assert row.retention_margin_s is None


def test_only_transaction_markers_behind_the_commit_is_caught_up() -> None:
    row = lag_row(_at(committed=29), Scan(29, 30, None), NOW_MS)
    assert (row.lag_records, row.lag_seconds, row.state) == (0, 0.0, LagState.CAUGHT_UP)


def test_markers_before_the_first_unread_record_are_not_lag() -> None:
    row = lag_row(AT, Scan(10, 25, NOW_MS - 1000), NOW_MS)
    assert (row.lag_records, row.lag_seconds) == (5, 1.0)


def test_a_record_not_read_in_time_has_no_age() -> None:
    for scan in (None, Scan(10, 15, None)):
        row = lag_row(AT, scan, NOW_MS)
        assert row.lag_records == 30 - (scan.clean_until if scan else 10)
        assert (row.lag_seconds, row.state, row.retention_margin_s) == (None, LagState.LAGGING, None)


def test_a_record_from_the_future_is_zero_seconds_old() -> None:
    assert lag_row(AT, Scan(10, 10, NOW_MS + 5000), NOW_MS).lag_seconds == 0.0


def test_a_record_without_a_time_has_no_age() -> None:
    row = lag_row(AT, Scan(10, 10, -1), NOW_MS)
    assert (row.lag_records, row.lag_seconds, row.retention_margin_s) == (20, None, None)


def test_a_group_without_members_is_said_to_be_so_only_when_records_wait() -> None:
    assert lag_row(_at(members=0), Scan(10, 10, NOW_MS), NOW_MS).state is LagState.NO_MEMBERS
    assert lag_row(_at(members=0, committed=30), None, NOW_MS).state is LagState.CAUGHT_UP
    assert lag_row(_at(members=None), Scan(10, 10, NOW_MS), NOW_MS).state is LagState.LAGGING


def test_a_partition_never_committed_counts_from_its_start() -> None:
    row = lag_row(_at(committed=None, start=5), Scan(5, 5, NOW_MS - 1000), NOW_MS)
    assert (row.committed, row.lag_records, row.lag_seconds, row.records_lost) == (None, 25, 1.0, 0)


def test_records_deleted_unread_are_lost() -> None:
    row = lag_row(_at(start=18), Scan(18, 18, NOW_MS - 1000), NOW_MS)
    assert (row.records_lost, row.lag_records, row.lag_seconds, row.state) == (8, 12, 1.0, LagState.LOST)
    assert lag_row(_at(start=18), None, NOW_MS).records_lost == 8


def test_what_was_seen_to_be_markers_is_not_lost_when_it_is_deleted() -> None:
    position = _at(committed=29, start=30)
    assert lag_row(position, Scan(29, 30, None), NOW_MS).records_lost == 0
    assert lag_row(position, None, NOW_MS).records_lost == 1


def test_loss_stays_known_while_the_group_does_not_move() -> None:
    first = Scan(18, 18, NOW_MS)
    assert lag_row(_at(start=18), first, NOW_MS).records_lost == 8
    assert lag_row(_at(start=25), first, NOW_MS).records_lost == 15


def test_past_the_end_all_is_unread_unless_it_is_known_to_be_the_same_topic() -> None:
    unknown = lag_row(_at(committed=31), None, NOW_MS)
    assert (unknown.state, unknown.lag_records) == (LagState.BEYOND_END, 30)
    truncated = lag_row(_at(committed=31, same_topic=True), None, NOW_MS)
    assert (truncated.state, truncated.lag_records, truncated.lag_seconds) == (LagState.BEYOND_END, 0, 0.0)


def test_a_commit_that_counts_a_topic_before_this_one_has_read_nothing_of_it() -> None:
    """Case 40: position 3 of the old topic, 11 records in the new one."""
    for committed in (3, 11, 500):
        position = _at(committed=committed, start=0, end=11, same_topic=False)
        row = lag_row(position, Scan(0, 0, NOW_MS - 5000), NOW_MS)
        assert (row.state, row.lag_records, row.lag_seconds, row.records_lost) == (LagState.OLD_TOPIC, 11, 5.0, 0)


@pytest.mark.parametrize("same", [None, True, False])
@pytest.mark.parametrize("committed", [None, 0, 5, 10, 29, 30, 31, 2**62])
@pytest.mark.parametrize("start", [0, 10, 30])
def test_lag_is_never_negative_nor_more_than_there_is(committed: int | None, start: int, same: bool | None) -> None:
    row = lag_row(_at(committed=committed, start=start, same_topic=same), None, NOW_MS)
    assert 0 <= row.lag_records <= 30 - start
    assert row.records_lost >= 0


def test_kept_for_ever_has_no_margin() -> None:
    assert lag_row(_at(retention_ms=-1), Scan(10, 10, NOW_MS - 1000), NOW_MS).retention_margin_s is None


def test_the_worst_comes_first() -> None:
    rows = [
        lag_row(_at(group="ok", committed=30), None, NOW_MS),
        lag_row(_at(group="slow"), Scan(10, 10, NOW_MS - 1000), NOW_MS),
        lag_row(_at(group="slower"), Scan(10, 10, NOW_MS - 9000), NOW_MS),
        lag_row(_at(group="dead", members=0), Scan(10, 10, NOW_MS - 10), NOW_MS),
        lag_row(_at(group="lost", start=20), Scan(20, 20, NOW_MS), NOW_MS),
    ]
    assert [row.group for row in worst_first(rows)] == ["lost", "dead", "slower", "slow", "ok"]


def test_json_has_what_the_command_prints() -> None:
    body = lag_row(AT, Scan(10, 10, NOW_MS), NOW_MS).as_json()
    assert list(body)[:4] == ["group", "topic", "partition", "committed"]
    assert {"end", "lag_records", "lag_seconds"} <= set(body)
    assert body["state"] == "lagging"


BLOCKED = {"stable": 20, "blocked": True}


def test_what_an_open_transaction_holds_back_is_lag_up_to_the_high_watermark() -> None:
    row = lag_row(_at(committed=20, **BLOCKED), Scan(20, 20, NOW_MS - 7000, open=True), NOW_MS)
    assert (row.lag_records, row.lag_seconds, row.state) == (10, 7.0, LagState.BLOCKED)
    assert (row.stable, row.end) == (20, 30)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, LagState.BLOCKED),
        ({"blocked": False}, LagState.LAGGING),  # an ordinary transaction, a moment ago
        ({"committed": 19}, LagState.LAGGING),  # it has something to read
        ({"committed": 24}, LagState.LAGGING),  # it reads what is not committed
        ({"members": 0}, LagState.NO_MEMBERS),
        ({"committed": 30}, LagState.CAUGHT_UP),
        ({"committed": 31}, LagState.BEYOND_END),
    ],
)
def test_blocked_is_who_has_read_all_that_can_be_read(changes: dict[str, Any], state: LagState) -> None:
    position = _at(**{"committed": 20, **BLOCKED, **changes})
    assert lag_row(position, None, NOW_MS).state is state


def test_only_markers_before_the_open_transaction_is_blocked_too() -> None:
    row = lag_row(_at(committed=18, **BLOCKED), Scan(18, 20, NOW_MS, open=True), NOW_MS)
    assert (row.lag_records, row.state) == (10, LagState.BLOCKED)


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ({"committed": 18}, 10),
        ({"committed": 20}, 10),
        ({"committed": 24}, 6),
        ({"committed": 30}, 0),
        ({"stable": 30}, 0),
    ],
)
def test_what_lies_behind_an_open_transaction_is_told_apart(changes: dict[str, Any], apart: int) -> None:
    assert lag_row(_at(**{**BLOCKED, **changes}), None, NOW_MS).blocked_records == apart
