"""Columns of windows say of each row what a Track of its own says; what was observed goes with a row; rates."""

import numpy as np
import pytest
from atlas_health_aggregator.judging.lag_rows import Position
from atlas_health_aggregator.judging.status import Observation, Status, Track
from atlas_health_aggregator.judging.windows import Seen, Windows, status_named
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.health_aggregator.one_row import stands_of

ROWS = 3


@st.composite
def observed(draw: st.DrawFn) -> list[list[Observation]]:
    """Rounds of rows of a group each: offsets that move, stand still, go back, come back."""
    step = st.sampled_from([0, 0, 0, 0, 1, 2, 5, -3])
    rounds: list[list[Observation]] = []
    committed, end = [5] * ROWS, [8] * ROWS
    quiet = draw(st.booleans())
    for _ in range(draw(st.integers(1, 40))):
        seen = []
        for row in range(ROWS):
            end[row] += draw(st.integers(0, 0 if quiet else 3))
            committed[row] = min(max(0, committed[row] + draw(step)), end[row])
            read = draw(st.sampled_from([committed[row], committed[row], end[row]]))
            members = draw(st.sampled_from([1, 1, 1, 1, 0, 0, None]))
            flags = [draw(st.integers(0, 9)) == 0 for _ in range(2)]
            fresh = draw(st.booleans())
            seen.append(Observation(committed[row], read, end[row], members, *flags, fresh=fresh))
        rounds.append(seen)
    return rounds


def seen_of(row_by_row: list[Observation], at_s: float, names: str = "abc") -> Seen:
    """One round of groups with these names, each with a topic of its own."""
    positions = [
        Position(name, name, 0, each.committed, 0, each.end, each.members, -1, each.end, topic_id=name)
        for name, each in zip(names, row_by_row, strict=True)
    ]
    stands = stands_of(positions)
    return Seen(
        layout=stands.layout,
        places=stands.places,
        committed=stands.committed,
        read=np.array([each.read for each in row_by_row]),
        members=stands.members,
        blocked=np.array([each.blocked for each in row_by_row]),
        held=np.array([each.held for each in row_by_row]),
        fresh=np.array([each.fresh for each in row_by_row]),
        at_s=at_s,
    )


@given(observed())
def test_columns_say_what_a_track_says(rounds: list[list[Observation]]) -> None:
    windows, tracks = Windows(), [Track()] * ROWS
    for number, row_by_row in enumerate(rounds):
        tracks = [track.follow(each) for track, each in zip(tracks, row_by_row, strict=True)]
        windows.follow(seen_of(row_by_row, number * 5.0))
        found = [status_named(code) for code in windows.status.tolist()]
        assert found == [track.status for track in tracks], f"round {number}"


def test_what_was_observed_goes_with_a_row() -> None:
    windows = Windows()
    dead, alive = Observation(5, 5, 9, 0), Observation(9, 9, 9, 1)
    for number in range(3):
        windows.follow(seen_of([dead, alive], number * 5.0, "bc"))
    windows.follow(seen_of([dead, dead, dead], 15.0, "abd"))
    assert [status_named(code) for code in windows.status.tolist()] == [None, Status.STOPPED, None]


def test_rates_are_of_the_window() -> None:
    windows = Windows()
    for number in range(4):
        windows.follow(seen_of([Observation(number * 50, number * 50, number * 100, 1)], number * 5.0, "a"))
        came, went = windows.rates()
        if number == 0:
            assert np.isnan([came[0], went[0]]).all()
    assert (came[0], went[0]) == pytest.approx((20, 10))
