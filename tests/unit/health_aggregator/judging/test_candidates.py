"""Who was heard once."""

from dataclasses import replace

import pytest
from atlas_health_aggregator.judging.admission import Heartbeat
from atlas_health_aggregator.judging.candidates import CANDIDATES_MAX, FORGET_AFTER_S, Candidates

BEAT = Heartbeat("relay", "relay-1", "READY", {}, "1", 0, 0, 2000)


@pytest.mark.parametrize(
    ("second_after_s", "confirmed"), [(0, False), (0.9, False), (1, True), (2, True), (301, False)]
)
def test_the_second_beat_confirms_when_it_comes_in_its_time(second_after_s: float, confirmed: bool) -> None:
    candidates = Candidates()
    assert not candidates.confirm(BEAT, 100)
    assert candidates.confirm(BEAT, 100 + second_after_s) is confirmed
    assert len(candidates) == (0 if confirmed else 1)


def test_names_are_told_apart() -> None:
    candidates = Candidates()
    candidates.confirm(BEAT, 100)
    assert not candidates.confirm(replace(BEAT, instance="relay-2"), 102)
    assert not candidates.confirm(replace(BEAT, service="gateway"), 102)


def test_a_goodbye_confirms_nobody_and_ends_it() -> None:
    candidates = Candidates()
    candidates.confirm(BEAT, 100)
    assert not candidates.confirm(replace(BEAT, state="STOPPING"), 102)
    assert not candidates.confirm(BEAT, 103)


def test_a_flood_takes_bounded_memory() -> None:
    candidates = Candidates()
    for number in range(3 * CANDIDATES_MAX):
        candidates.confirm(replace(BEAT, instance=str(number)), 100)
    assert len(candidates) == CANDIDATES_MAX


def test_one_that_comes_back_late_begins_anew() -> None:
    candidates = Candidates()
    candidates.confirm(BEAT, 100)
    candidates.confirm(BEAT, 101 + FORGET_AFTER_S)
    assert candidates.confirm(BEAT, 103 + FORGET_AFTER_S)
