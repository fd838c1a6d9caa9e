"""One event for a group's change, and none for what comes and goes."""

from dataclasses import replace

import pytest
from atlas_health_aggregator.judging.group_changes import HELD_ROUNDS, GroupChange, GroupChanges
from atlas_health_aggregator.judging.lag_rows import LagState, Position, Scan, lag_row
from atlas_health_aggregator.judging.status import Status

OK, STOPPED, STALLED, CATCHING_UP = Status.OK, Status.STOPPED, Status.STALLED, Status.CATCHING_UP
GROUP = "projector.hauls"


def told(changes: GroupChanges, *rounds: Status | None) -> list[tuple[Status | None, Status, int]]:
    """What is told of one group over rounds, a second each."""
    return [
        (change.previous, change.current, change.changed_at)
        for number, status in enumerate(rounds)
        for change in changes.judge({GROUP: status}, [], number * 1000)
    ]


def test_a_change_is_told_once_and_of_when_it_began() -> None:
    rounds = [OK, OK, *[STOPPED] * 9, *[CATCHING_UP] * 5, *[OK] * 5]
    assert told(GroupChanges(), *rounds) == [
        (None, STOPPED, 2000),
        (STOPPED, CATCHING_UP, 11_000),
        (CATCHING_UP, OK, 16_000),
    ]


@pytest.mark.parametrize(
    "flapping",
    [
        [OK, STOPPED] * 20,
        [OK, STOPPED, STOPPED] * 20,
        [STOPPED, STALLED] * 20,
        [STOPPED, STOPPED, None] * 20,
    ],
)
def test_what_does_not_hold_is_not_told(flapping: list[Status | None]) -> None:
    assert HELD_ROUNDS == 3
    assert told(GroupChanges(), *flapping) == []


def test_a_group_that_was_always_ok_or_is_not_known_is_no_news() -> None:
    assert told(GroupChanges(), *[OK] * 9) == []
    assert told(GroupChanges(), *[None] * 9) == []


def test_a_restart_tells_nothing_again_and_what_it_missed() -> None:
    last = GroupChange(GROUP, OK, STOPPED, "because", 1)
    changes = GroupChanges()
    changes.restore([last])
    assert told(changes, *[None] * 5, *[STOPPED] * 5) == []
    changes = GroupChanges()
    changes.restore([last])
    assert told(changes, *[None] * 5, *[OK] * 5) == [(STOPPED, OK, 5000)]


def test_a_group_that_is_gone_is_forgotten() -> None:
    changes = GroupChanges()
    assert told(changes, *[STOPPED] * 5) == [(None, STOPPED, 0)]
    assert changes.judge({}, [], 0) == []
    assert told(changes, *[STOPPED] * 5) == [(None, STOPPED, 0)]


def test_the_reason_is_in_words() -> None:
    rows = [
        lag_row(Position(GROUP, "t", 0, 10, 0, 30, 0, -1, 30), Scan(10, 10, 60_000), 100_000),
        lag_row(Position(GROUP, "t", 1, 10, 0, 12, 0, -1, 12), None, 100_000),
        lag_row(Position(GROUP, "t", 2, 12, 0, 12, 0, -1, 12), None, 100_000),
        lag_row(Position("other", "t", 2, 2, 0, 12, 0, -1, 12), None, 100_000),
    ]
    assert rows[0].state is LagState.NO_MEMBERS
    rows = [replace(row, status=status) for row, status in zip(rows, (STOPPED, STOPPED, OK, STOPPED), strict=True)]
    changes = GroupChanges()
    (change,) = [each for _ in range(3) for each in changes.judge({GROUP: STOPPED}, rows, 0)]
    assert change.reason == "2 of 3 partitions are stopped: 22 records wait, the oldest for 40 s"
    assert change.service == "projector"
