"""Blocks become records and come back the same; what is no block is refused, whatever it is."""

import orjson
import pytest
from atlas_health_aggregator.history import blocks
from atlas_health_aggregator.history.blocks import AHEAD_MS, Odd, part_of, records_of
from atlas_health_aggregator.history.points import LEVELS, WEEK_MS, Point, observed
from atlas_health_aggregator.history.remembering import Block, Key
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_790_000_000_000 // LEVELS[-1].block_ms * LEVELS[-1].block_ms
BLOCK = Block(0, NOW // LEVELS[0].block_ms)
GOOD = {
    "v": 1,
    "step": 10,
    "block": BLOCK.number,
    "whole": True,
    "part": 0,
    "parts": 1,
    "series": [["g", "t", [[NOW, 5, 4, 3.0, None]]]],
}

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
of_series = st.lists(
    st.builds(
        observed,
        st.integers(BLOCK.start_ms, BLOCK.end_ms - 1),
        st.integers(0, 2**53),
        st.none() | st.floats(0, 1e9, allow_nan=False),
    ),
    max_size=LEVELS[0].block,
    unique_by=lambda point: point.at,
).map(sorted)


@given(st.dictionaries(st.tuples(names, names), of_series, max_size=8), st.booleans())
def test_a_block_comes_back_as_it_was(found: dict[Key, list[Point]], whole: bool) -> None:
    records = records_of(BLOCK, iter(found.items()), by="a", whole=whole)
    assert bool(records) == bool(found)
    for key, value in records:
        assert key == f"10s/{BLOCK.number % 120}/0".encode()
        assert part_of(value, NOW) == (BLOCK, whole, found)


def test_a_large_block_has_parts_and_is_whole_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "PART_MAX_BYTES", 100)
    found = {(f"group-{number}", "t"): [observed(NOW, number, 1.0)] for number in range(5)}
    records = records_of(BLOCK, iter(found.items()), by="a", whole=True)
    parts = [part_of(value, NOW) for _, value in records]
    assert len({key for key, _ in records}) == len(records) > 1
    assert [part.whole for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {key: points for part in parts for key, points in part.points.items()} == found


def test_a_lap_later_a_block_has_the_same_key() -> None:
    for number, level in enumerate(LEVELS):
        keys = {
            records_of(Block(number, 7 + lap), iter({("g", "t"): []}.items()), by="a", whole=True)[0][0]
            for lap in (0, level.blocks, 5 * level.blocks)
        }
        assert keys == {f"{level.step_s}s/7/0".encode()}


@pytest.mark.parametrize("now", [NOW + WEEK_MS + 10_000, NOW - AHEAD_MS - 10_000])
def test_points_of_another_week_or_of_a_time_to_come_are_left_out(now: int) -> None:
    assert part_of(orjson.dumps(GOOD), now).points == {("g", "t"): []}


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"step": 11},
        {"block": -1},
        {"block": "1"},
        {"block": 2**60},
        {"part": None},
        {"parts": 1.5},
        {"series": None},
        {"series": [[]]},
        {"series": [["g", 1, []]]},
        {"series": [["g", "t", [[NOW, 1, 1, None]]]]},
        {"series": [["g", "t", [[NOW, -1, 1, None, None]]]]},
        {"series": [["g", "t", [[NOW, 2**63, 1, None, None]]]]},
        {"series": [["g", "t", [[NOW, True, 1, None, None]]]]},
        {"series": [["g", "t", [[NOW, 1, 1, "1", None]]]]},
        {"series": [["g", "t", [[NOW, 1, 1, -1.0, None]]]]},
        {"series": [["g", "t", [[NOW + 1, 1, 1, 1.0, None], [NOW, 1, 1, 1.0, None]]]]},
        {"series": [["g", "t", [[NOW + LEVELS[0].block_ms, 1, 1, 1.0, None]]]]},
        {"series": [["g", "t", [[NOW, 1, 1, 1.0, None]] * 7]]},
    ],
)
def test_what_is_no_block_is_odd(change: dict[str, object]) -> None:
    assert part_of(orjson.dumps(GOOD), NOW).points == {("g", "t"): [Point(NOW, 5, 4, 3.0, None)]}
    with pytest.raises(Odd):
        part_of(orjson.dumps(GOOD | change), NOW)


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00\x00\x00\x01x", b"[]", b"1", b'"a"', b"{}", b"[" * 100_000])
def test_bytes_of_somebody_else_are_odd(value: bytes | None) -> None:
    with pytest.raises(Odd):
        part_of(value, NOW)
