"""Which series are remembered, for how long, and what of them is to be written."""

from atlas_health_aggregator.history.points import LEVELS, WEEK_MS, Point, observed
from atlas_health_aggregator.history.remembering import Block, History, Key
from atlas_health_aggregator.judging.lag_rows import Lag
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_790_000_000_000 // LEVELS[-1].block_ms * LEVELS[-1].block_ms
MINUTE = LEVELS[0].block_ms


def lag(records: int = 1, *, ours: bool = False) -> Lag:
    return Lag(records, 1.0, ours)


def at(history: History, key: Key, level: int = 0) -> list[Point]:
    return list(history.points(key, level, 0, NOW + 2 * WEEK_MS))


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=10), max_size=12))
def test_there_are_never_more_series_than_asked_for(rounds: list[list[tuple[int, bool]]]) -> None:
    history = History(3)
    for number, seen in enumerate(rounds):
        lags = {(f"g{name}", "t"): lag(ours=ours) for name, ours in seen}
        history.observe(lags, NOW + number * 1000)
        assert len(history) <= 3
        assert history.left_out == max(0, len(lags) - 3)
        ours = [key for key, each in lags.items() if each.ours][:3]
        assert set(ours) <= set(history.series()) or len([each for each in lags.values() if each.ours]) > 3


def test_who_is_seen_takes_the_room_of_who_is_gone_and_ours_that_of_others() -> None:
    history = History(2)
    history.observe({("old", "t"): lag(), ("other", "t"): lag()}, NOW)
    history.observe({("other", "t"): lag()}, NOW + 1000)
    history.observe({("new", "t"): lag(), ("other", "t"): lag()}, NOW + 2000)
    assert history.series() == [("new", "t"), ("other", "t")]
    history.observe({("new", "t"): lag(), ("other", "t"): lag(), ("mine", "t"): lag(ours=True)}, NOW + 3000)
    assert ("mine", "t") in history.series()
    assert history.left_out == 1


def test_a_group_that_is_gone_is_forgotten_after_a_week() -> None:
    history = History(10)
    history.observe({("g", "t"): lag()}, NOW)
    history.observe({}, NOW + WEEK_MS)
    assert history.series() == [("g", "t")]
    history.observe({}, NOW + WEEK_MS + 1)
    assert history.series() == []


def test_a_block_is_due_when_it_is_over_and_until_it_is_written() -> None:
    history = History(10)
    history.observe({("g", "t"): lag()}, NOW)
    assert history.due(NOW + MINUTE - 1) == []
    (block,) = history.due(NOW + MINUTE)
    assert (block, block.start_ms, block.end_ms) == (Block(0, NOW // MINUTE), NOW, NOW + MINUTE)
    assert list(history.of_block(block)) == [(("g", "t"), [observed(NOW, 1, 1.0)])]
    assert history.due(NOW + LEVELS[1].block_ms) == [block, Block(1, NOW // LEVELS[1].block_ms)]
    assert len(history.due(NOW + LEVELS[2].block_ms)) == 3
    history.written(block)
    assert block not in history.due(NOW + MINUTE)


def test_what_another_has_written_is_taken_and_not_due_any_more() -> None:
    history = History(10)
    history.observe({("g", "t"): Lag(5, 5.0, True)}, NOW)
    block = Block(0, NOW // MINUTE)
    points = {("g", "t"): [observed(NOW + 9, 3, 3.0)], ("h", "t"): [observed(NOW, 1, None)], ("empty", "t"): []}
    history.take(block, points, whole=False)
    assert history.due(NOW + MINUTE) == [block]
    history.take(block, points, whole=True)
    assert history.due(NOW + MINUTE) == []
    assert at(history, ("g", "t")) == [Point(NOW + 9, 5, 3, 5.0, 3.0)]
    assert history.series() == [("g", "t"), ("h", "t")]
    # What the levels above have of it was written by nobody yet.
    assert [each.level for each in history.due(NOW + LEVELS[2].block_ms)] == [1, 2]


def test_a_block_that_was_taken_twice_is_written_by_nobody() -> None:
    history, block = History(10), Block(1, NOW // LEVELS[1].block_ms)
    points = {("g", "t"): [observed(NOW, 1, 1.0)]}
    for _ in range(2):
        history.take(block, points, whole=True)
    assert [each.level for each in history.due(NOW + LEVELS[2].block_ms)] == [2]
    assert at(history, ("g", "t"), 1) == [observed(NOW, 1, 1.0)]


def test_what_is_too_old_to_be_kept_is_not_due() -> None:
    history = History(10)
    history.observe({("g", "t"): lag()}, NOW)
    assert [each.level for each in history.due(NOW + LEVELS[0].span_ms)] == [1, 2]
    assert [each.level for each in history.due(NOW + LEVELS[1].span_ms)] == [2]
    assert history.due(NOW + WEEK_MS) == []


def test_at_a_stop_the_finest_level_is_enough() -> None:
    history = History(10)
    history.observe({("g", "t"): lag()}, NOW)
    assert history.unfinished() == [Block(0, NOW // MINUTE)]


def test_while_reading_the_series_seen_last_stay() -> None:
    history = History(1)
    block = Block(0, NOW // MINUTE)
    history.take(block, {("a", "t"): [observed(NOW + 1, 1, 1.0)]}, whole=True)
    history.take(block, {("b", "t"): [observed(NOW, 1, 1.0)]}, whole=True)
    assert history.series() == [("a", "t")]
    history.take(block, {("c", "t"): [observed(NOW + 2, 1, 1.0)]}, whole=True)
    assert history.series() == [("c", "t")]
    assert at(history, ("a", "t")) == []
