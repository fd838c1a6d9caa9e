"""Rows are made when they are asked for, in order; sums of topics are those of their rows."""

import numpy as np
from atlas_health_aggregator.judging.lag_rows import Position, Scan, rank
from atlas_health_aggregator.judging.rows import Round, Rows, chosen
from atlas_health_aggregator.judging.status import Status
from atlas_health_aggregator.judging.statuses import Judged
from atlas_health_aggregator.topic_configs import TopicConfig
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.health_aggregator.one_row import lags_of

NOW_MS = 1_700_000_100_000
CONFIGS = {"t": TopicConfig(100_000, "CreateTime"), "u": TopicConfig(-1, "LogAppendTime")}


@st.composite
def rounds(draw: st.DrawFn) -> Round:
    told = []
    for group in draw(st.sets(st.sampled_from("abc"), min_size=1)):
        for topic in draw(st.sets(st.sampled_from("tu"), min_size=1)):
            for partition in range(2):
                committed = draw(st.integers(0, 12))
                position = Position(
                    group, topic, partition, committed, 2, 10, draw(st.sampled_from([0, 1])), -1, 8, topic_id=topic
                )
                at = max(2, committed)
                scan = Scan(at, at, NOW_MS - draw(st.integers(-5, 5000)))
                told.append((position, draw(st.sampled_from([None, scan]))))
    lags, _ = lags_of(told, NOW_MS)
    rows = len(lags.records)
    speeds = st.sampled_from([0.0, 1.0, 2.5, float("nan")])
    rates = [np.array(draw(st.lists(speeds, min_size=rows, max_size=rows))) for _ in range(2)]
    return Round(lags, Judged(np.full(rows, -1, np.int8), *rates), CONFIGS)


@given(rounds())
def test_the_order_is_that_of_rank(this: Round) -> None:
    rows = [*Rows(this)]
    assert rows == sorted(rows, key=rank)
    assert Rows(this)[1:3] == rows[1:3]
    assert len(rows) == len(this.lags.records)
    for group, topic in (("a", None), (None, "t"), ("b", "u"), (None, None)):
        expected = [row for row in rows if group in (None, row.group) and topic in (None, row.topic)]
        assert [*chosen(Rows(this), group, topic)] == chosen(rows, group, topic) == expected
    assert [*Rows(this).of_groups({"a", "c"})] == [row for row in rows if row.group in "ac"]


@given(rounds())
def test_sums_are_those_of_the_rows(this: Round) -> None:
    rows = [*Rows(this)]
    assert list(this.sums()) == list(dict.fromkeys((row.group, row.topic) for row in rows))
    for each in this.by_topic():
        mine = [row for row in rows if (row.group, row.topic) == (each.group, each.topic)]
        seconds = [row.lag_seconds for row in mine if row.lag_seconds is not None]
        margins = [row.retention_margin_s for row in mine if row.retention_margin_s is not None]
        assert each.lag_records == sum(row.lag_records for row in mine)
        assert each.lag_most == max(row.lag_records for row in mine)
        assert each.lag_seconds == max(seconds, default=None)
        assert each.records_lost == sum(row.records_lost for row in mine)
        assert each.blocked_records == sum(row.blocked_records for row in mine)
        assert each.committed == sum(row.committed or 0 for row in mine)
        assert (each.retention_margin_s is None) == (not margins)
        assert each.is_beyond_end == any(row.is_beyond_end for row in mine)
        assert this.sums()[each.group, each.topic][:2] == (each.lag_records, each.lag_seconds)
        rates = [row.rate_in for row in mine]
        assert each.rate_in == (None if None in rates else sum(rate or 0 for rate in rates))


def test_time_to_catch_up_is_what_waits_by_how_much_faster_it_goes_than_comes() -> None:
    positions = [(Position("g", "t", number, 0, 0, 10, 1, -1, 10, topic_id="t"), None) for number in range(4)]
    caught_up = (Position("g", "t", 4, 10, 0, 10, 1, -1, 10, topic_id="t"), None)
    lags, _ = lags_of([*positions, caught_up], NOW_MS)
    came, went = np.array([1.0, 2.0, 2.0, np.nan, 3.0]), np.array([6.0, 2.0, 1.0, np.nan, 0.0])
    status = np.full(5, list(Status).index(Status.OK), np.int8)
    this = Round(lags, Judged(status, came, went), CONFIGS)
    assert [this.row(number).catch_up_s for number in range(5)] == [2.0, None, None, None, 0.0]
    assert (this.row(0).status, this.row(0).clock) == (Status.OK, "CreateTime")
    assert this.group_sizes() == {"g": 5}
