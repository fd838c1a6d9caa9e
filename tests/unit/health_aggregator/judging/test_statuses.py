"""Status of every row, round by round; what is no observation; who lags on purpose."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from atlas_health_aggregator.judging.columns import Lags
from atlas_health_aggregator.judging.lag_rows import Position, Scan
from atlas_health_aggregator.judging.status import WINDOW, Status
from atlas_health_aggregator.judging.statuses import OnPurpose, Statuses, of_groups
from atlas_health_aggregator.judging.windows import status_named

from tests.unit.health_aggregator.one_row import lags_of, stands_of

NOBODY = OnPurpose({}, re.compile(""))
ARCHIVER = OnPurpose({"archiver": 15.0}, re.compile(r"nightly-.*"))
NOW_MS = 1_700_000_100_000
OLD_S = 1000.0


def row(
    group: str = "g", *, committed: int = 10, end: int = 10, age_s: float | None = OLD_S, **values: object
) -> tuple[Position, Scan | None]:
    """Where a group stands, with a record of that age that it has not read."""
    found: dict[str, object] = {"partition": 0, "members": 1, "topic_id": "one", "stable": end, **values}
    position = Position(group=group, topic="t", committed=committed, start=0, end=end, retention_ms=-1, **found)  # type: ignore[arg-type]
    return position, None if age_s is None else Scan(committed, committed, round(NOW_MS - age_s * 1000))


def seen(*rows: tuple[Position, Scan | None]) -> Lags:
    return lags_of(rows, NOW_MS)[0]


def statuses_of(statuses: Statuses, lags: Lags, now: float) -> list[Status | None]:
    return [status_named(code) for code in statuses.follow(lags, now).status.tolist()]


def followed(statuses: Statuses, rounds: Sequence[tuple[Position, Scan | None]]) -> list[Status | None]:
    """The status of one row, a round each 5 s."""
    return [statuses_of(statuses, seen(each), number * 5.0)[0] for number, each in enumerate(rounds)]


def test_a_group_that_dies() -> None:
    dead = [row(end=10 + n, members=0) for n in range(1, 4)]
    found = followed(Statuses(5, NOBODY), [row(), row(), *dead])
    assert found == [Status.OK, Status.OK, Status.OK, Status.STOPPED, Status.STOPPED]


def test_rounds_in_between_are_no_observations() -> None:
    """However often somebody asks, a status takes its time; but whoever is caught up is ok."""
    statuses = Statuses(5, NOBODY)
    waiting = row(end=12, members=0)
    statuses.follow(seen(row()), -5)
    statuses.follow(seen(row()), 0)
    statuses.follow(seen(waiting), 5)
    assert [statuses_of(statuses, seen(waiting), 5 + n / 10)[0] for n in range(9)] == [Status.OK] * 9
    assert statuses_of(statuses, seen(waiting), 10) == [Status.STOPPED]
    assert statuses_of(statuses, seen(row()), 11) == [Status.OK]
    two = (replace(waiting[0], group="other"), waiting[1])
    judged = statuses.follow(seen(waiting, two), 12)
    assert [status_named(code) for code in judged.status.tolist()] == [Status.STOPPED, None]
    assert np.isnan(judged.rate_in).all(), "of these rows there are no rates yet"


def test_a_topic_made_again_is_another() -> None:
    statuses = Statuses(5, NOBODY)
    followed(statuses, [row(end=12)] * (WINDOW + 2))
    assert statuses_of(statuses, seen(row(end=12)), 100) == [Status.STALLED]
    assert statuses_of(statuses, seen(row(end=12, topic_id="other")), 105) == [None]


def test_a_group_that_is_gone_is_forgotten() -> None:
    statuses = Statuses(5, NOBODY)
    followed(statuses, [row(end=12)] * (WINDOW + 2))
    assert statuses_of(statuses, seen(), 100) == []
    assert statuses_of(statuses, seen(row(end=12)), 105) == [None]


def test_what_is_younger_than_a_window_is_ok_at_the_first_look() -> None:
    assert statuses_of(Statuses(5, NOBODY), seen(row(end=12, age_s=49)), 0) == [Status.OK]
    assert statuses_of(Statuses(5, NOBODY), seen(row(end=12, age_s=51)), 0) == [None]
    assert statuses_of(Statuses(5, NOBODY), seen(row(end=12, age_s=None)), 0) == [None]


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (row("archiver", end=12, age_s=14.0), Status.OK),
        (row("archiver.second", end=12, age_s=14.0), Status.OK),
        (row("archiver", end=12, age_s=16.0), Status.STALLED),
        (row("archiver", end=12, age_s=None), Status.STALLED),
        (row("archiver", end=12, age_s=14.0, members=0), Status.STOPPED),
        (row("archiver", end=12, age_s=14.0, stable=10, blocked=True), Status.BLOCKED),
        (row("projector", end=12, age_s=14.0), Status.STALLED),
        (row("nightly-sums", end=12, age_s=80_000.0, members=0), Status.OK),
    ],
)
def test_who_lags_on_purpose_is_ok(waiting: tuple[Position, Scan | None], expected: Status) -> None:
    assert followed(Statuses(5, ARCHIVER), [waiting] * (WINDOW + 2))[-1] is expected


def test_a_group_is_as_its_worst_partition() -> None:
    layout = stands_of([row("a")[0], row("a", partition=1)[0], row("b")[0]]).layout
    ok, stalled = (list(Status).index(each) for each in (Status.OK, Status.STALLED))
    assert len(layout) == 4, "both groups have both partitions"
    assert of_groups(layout, np.array([ok, stalled, -1, ok], np.int8)) == {"a": Status.STALLED, "b": None}
    assert of_groups(layout, np.array([ok, ok, ok, ok], np.int8)) == {"a": Status.OK, "b": Status.OK}
