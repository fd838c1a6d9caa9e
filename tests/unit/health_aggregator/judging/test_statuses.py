"""Status of every row, round by round; what is no observation; who lags on purpose."""

import re
from dataclasses import replace

import pytest
from atlas_health_aggregator.judging.lag_rows import LagRow, LagState
from atlas_health_aggregator.judging.status import WINDOW, Status
from atlas_health_aggregator.judging.statuses import OnPurpose, Statuses, of_groups

NOBODY = OnPurpose({}, re.compile(""))
ARCHIVER = OnPurpose({"archiver": 15.0}, re.compile(r"nightly-.*"))


def row(group: str = "g", *, committed: int | None = 10, end: int = 10, **values: object) -> LagRow:
    lag = end - (committed or 0)
    state = LagState.LAGGING if lag else LagState.CAUGHT_UP
    defaults: dict[str, object] = {"members": 1, "records_lost": 0, "retention_margin_s": None, "topic_id": "one"}
    defaults |= {"lag_records": lag, "lag_seconds": 1.0 if lag else 0.0, "state": state, "partition": 0}
    defaults |= {"topic": "t", "start": 0, "stable": end}
    return LagRow(group=group, committed=committed, end=end, **{**defaults, **values})  # type: ignore[arg-type]


def followed(statuses: Statuses, *rounds: LagRow) -> list[Status | None]:
    """The status of one row, a round each 5 s."""
    return [statuses.follow([each], number * 5.0)[0].status for number, each in enumerate(rounds)]


def test_a_group_that_dies() -> None:
    dead = [row(end=10 + n, members=0) for n in range(1, 4)]
    found = followed(Statuses(5, NOBODY), row(), row(), *dead)
    assert found == [Status.OK, Status.OK, Status.OK, Status.STOPPED, Status.STOPPED]


def test_rounds_in_between_are_no_observations() -> None:
    """However often somebody asks, a status takes its time; but whoever is caught up is ok."""
    statuses = Statuses(5, NOBODY)
    waiting = row(end=12, members=0)
    statuses.follow([row()], -5)
    statuses.follow([row()], 0)
    statuses.follow([waiting], 5)
    assert [statuses.follow([waiting], 5 + n / 10)[0].status for n in range(9)] == [Status.OK] * 9
    assert statuses.follow([waiting], 10)[0].status is Status.STOPPED
    assert statuses.follow([row()], 11)[0].status is Status.OK
    assert statuses.follow([replace(waiting, partition=7)], 12)[0].status is None


def test_a_topic_made_again_is_another() -> None:
    statuses = Statuses(5, NOBODY)
    followed(statuses, *[row(end=12)] * (WINDOW + 2))
    assert statuses.follow([row(end=12)], 100)[0].status is Status.STALLED
    assert statuses.follow([row(end=12, topic_id="other")], 105)[0].status is None


def test_a_partition_that_is_gone_is_forgotten() -> None:
    statuses = Statuses(5, NOBODY)
    followed(statuses, *[row(end=12)] * (WINDOW + 2))
    assert statuses.follow([], 100) == []
    assert statuses.follow([row(end=12)], 105)[0].status is None


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (row("archiver", end=12, lag_seconds=14.0), Status.OK),
        (row("archiver.second", end=12, lag_seconds=14.0), Status.OK),
        (row("archiver", end=12, lag_seconds=16.0), Status.STALLED),
        (row("archiver", end=12, lag_seconds=None), Status.STALLED),
        (row("archiver", end=12, lag_seconds=14.0, members=0), Status.STOPPED),
        (row("archiver", end=12, lag_seconds=14.0, state=LagState.BLOCKED), Status.BLOCKED),
        (row("projector", end=12, lag_seconds=14.0), Status.STALLED),
        (row("nightly-sums", end=12, lag_seconds=80_000.0, members=0), Status.OK),
    ],
)
def test_who_lags_on_purpose_is_ok(waiting: LagRow, expected: Status) -> None:
    assert followed(Statuses(5, ARCHIVER), *[waiting] * (WINDOW + 2))[-1] is expected


def test_a_group_is_as_its_worst_partition() -> None:
    rows = [row("a"), row("a", partition=1), row("b")]
    found = [replace(each, status=status) for each, status in zip(rows, (Status.OK, Status.STALLED, None), strict=True)]
    assert of_groups(found) == {"a": Status.STALLED, "b": None}
