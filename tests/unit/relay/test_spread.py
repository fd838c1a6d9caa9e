"""How many lanes are in use, and which relays what."""

import pytest
from atlas_relay import spread
from atlas_relay.spread import Spread, divided, settled
from hypothesis import given
from hypothesis import strategies as st

EPOCHS = st.dictionaries(st.integers(0, 7), st.integers(1, 9))


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(spread.time, "monotonic", lambda: now[0])
    return now


def test_a_backlog_puts_all_lanes_to_use(clock):
    lanes = Spread(2)
    assert not lanes.noted(full=True)
    assert lanes.noted(full=True), "decide now, not at the next tick"
    lanes.decide()
    assert lanes.in_use == 2
    assert not lanes.noted(full=True), "nothing more to decide"


def test_one_large_commit_now_and_then_does_not(clock):
    lanes = Spread(2)
    for full in (True, False) * 5:
        assert not lanes.noted(full=full)
        lanes.decide()
    assert lanes.in_use == 1


def test_when_no_batch_was_full_for_a_while_one_is_enough(clock):
    lanes = Spread(4)
    for _ in range(3):
        lanes.noted(full=True)
    lanes.decide()
    for seconds, in_use in ((4, 4), (1, 4), (0.1, 1), (100, 1)):
        clock[0] += seconds
        lanes.noted(full=False)
        lanes.decide()
        assert lanes.in_use == in_use


def test_a_single_lane_has_nobody_to_call(clock):
    lanes = Spread(1)
    assert not any(lanes.noted(full=True) for _ in range(5))
    lanes.decide()
    assert lanes.in_use == 1


@given(EPOCHS, st.integers(1, 8), st.data())
def test_each_group_is_one_lanes_that_is_in_use(epochs, lanes, data):
    in_use = data.draw(st.integers(1, lanes))
    shares = divided(epochs, lanes, in_use)
    assert len(shares) == lanes
    assert sorted(group for share in shares for group in share) == sorted(epochs)
    assert {group: epoch for share in shares for group, epoch in share.items()} == epochs
    assert not any(shares[in_use:])


@given(EPOCHS, EPOCHS)
def test_no_lane_gets_what_another_has_in_hand(epochs, held):
    of_first = {group: epoch for group, epoch in held.items() if group % 3 == 0}
    of_second = {group: epoch for group, epoch in held.items() if group % 3 == 1}
    wanted = divided(epochs, 2, 2)
    first, second = settled(wanted, [of_first, of_second])
    assert first.keys() == wanted[0].keys() - of_second.keys()
    assert second.keys() == wanted[1].keys() - of_first.keys()
