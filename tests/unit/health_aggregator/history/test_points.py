"""Downsampling loses no maximum and makes no second point, whatever order observations and copies of them come in."""

import itertools
from collections.abc import Sequence
from random import Random

import pytest
from atlas_health_aggregator.history.points import LEVELS, Level, Point, Ring, Series, merged, observed
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_790_000_000_000
FINEST = LEVELS[0]

lags = st.tuples(st.integers(0, 2 * 3600 * 1000), st.integers(0, 2**53), st.none() | st.floats(0, 1e9, allow_nan=False))
points = st.lists(lags.map(lambda lag: observed(NOW - lag[0], lag[1], lag[2])), min_size=1, max_size=20)


def series_of(found: Sequence[Point]) -> Series:
    series = Series()
    for point in found:
        series.put(0, [point])
    return series


def everything(series: Series, level: int) -> list[Point]:
    return list(series.points(level, 0, NOW + 1))


def slots(level: Level, found: Sequence[Point]) -> list[int]:
    return [point.at // level.step_ms for point in found]


def test_the_levels_are_two_hours_a_day_and_a_week() -> None:
    assert [level.span_ms // 3_600_000 for level in LEVELS] == [2, 24, 7 * 24]
    for finer, coarser in itertools.pairwise(LEVELS):
        assert coarser.step_s % finer.step_s == 0
    assert all(level.slots % level.block == 0 for level in LEVELS), "a block is part of one lap"


@given(points)
def test_the_most_is_never_lost_and_every_slot_has_one_point(found: list[Point]) -> None:
    series = series_of(found)
    for number, level in enumerate(LEVELS):
        kept = everything(series, number)
        newest = max(point.at for point in found) // level.step_ms
        reached = [point for point in found if point.at // level.step_ms > newest - level.slots]
        assert slots(level, kept) == sorted(set(slots(level, reached)))
        for point in kept:
            same = [each for each in found if each.at // level.step_ms == point.at // level.step_ms]
            assert point.records_max == max(each.records_max for each in same)
            known = [each.seconds_max for each in same if each.seconds_max is not None]
            assert point.seconds_max == max(known, default=None)
            assert point.at == max(each.at for each in same)
            last = [each for each in same if each.at == point.at]
            assert point.records_last == max(each.records_last for each in last)


@given(points, st.randoms(use_true_random=False))
def test_order_and_copies_make_no_difference(found: list[Point], random: Random) -> None:
    again = [*found, *found]
    random.shuffle(again)
    one, other = series_of(found), series_of(again)
    for number in range(len(LEVELS)):
        assert everything(one, number) == everything(other, number)


@given(points, points, points)
def test_merging_is_of_one_result_however_it_is_done(one: list[Point], two: list[Point], three: list[Point]) -> None:
    a, b, c = one[0], two[0], three[0]
    assert merged(a, a) == a
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(points)
def test_what_is_read_from_a_finer_level_adds_nothing_to_the_coarser_ones(found: list[Point]) -> None:
    """So after a restart the levels above may be made from what was written of the finest one."""
    series, restored = series_of(found), Series()
    for number in reversed(range(len(LEVELS))):
        restored.put(number, everything(series, number))
    for number in range(len(LEVELS)):
        assert everything(restored, number) == everything(series, number)
        assert not series.put(number, everything(series, number))


@given(points)
def test_many_at_once_are_the_same_as_one_after_the_other(found: list[Point]) -> None:
    one, all_at_once = series_of(found), Series()
    all_at_once.put(0, sorted(found, key=lambda point: point.at))
    for number in range(len(LEVELS)):
        assert everything(all_at_once, number) == everything(one, number)
    assert all_at_once.newest_at == one.newest_at == max(point.at for point in found)


def test_a_lap_later_the_slot_is_of_the_new_time_and_the_old_comes_never_back() -> None:
    ring = Ring(FINEST)
    old, new = observed(NOW, 9, 9.0), observed(NOW + FINEST.span_ms, 1, None)
    assert ring.put(old)
    assert ring.put(new)
    assert not ring.put(old)
    assert list(ring.points(0, new.at + 1)) == [new]


def test_a_range_takes_the_points_that_begin_in_it() -> None:
    ring, step = Ring(FINEST), FINEST.step_ms
    for number in range(5):
        ring.put(observed(NOW + number * step, number, None))
    assert [point.records_last for point in ring.points(NOW + step, NOW + 3 * step)] == [1, 2]
    assert list(ring.points(NOW + step, NOW + step)) == []


@pytest.mark.parametrize("seconds", [None, 0.0, 12.3456])
def test_an_observation_is_its_own_most_and_last(seconds: float | None) -> None:
    point = observed(NOW, 7, seconds)
    assert (point.records_max, point.records_last, point.seconds_max) == (7, 7, point.seconds_last)
    assert point.seconds_last == (None if seconds is None else round(seconds, 3))
