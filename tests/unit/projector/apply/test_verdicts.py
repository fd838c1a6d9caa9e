"""Whose fault it is: a record's, as long as others can be handled; else the projection's."""

import time

import pytest
from atlas_projector.apply.verdicts import (
    BAD_FOR_S,
    FAILING_FROM,
    FIRST_BAD_MAX,
    GOOD_WITHIN_S,
    ProjectionFailed,
    Verdicts,
)


def long_ago() -> float:
    return time.monotonic() - GOOD_WITHIN_S - 1


def test_a_projection_whose_every_record_is_set_aside_is_not_well() -> None:
    verdicts = Verdicts("p", proven=True)
    verdicts.note(0, FAILING_FROM - 1, "no")
    assert verdicts.trouble() is None
    verdicts.note(0, 1, "column c: not that")
    assert verdicts.trouble() == "failing: the last 3 records were all set aside, the last one: column c: not that"
    verdicts.note(1, 5, "no")
    assert verdicts.trouble() is None


def test_good_ones_beside_a_burst_of_bad_ones_speak_for_it() -> None:
    verdicts = Verdicts("p")
    verdicts.note(1, 0, "")
    verdicts.note(0, 1000, "no")
    assert verdicts.trouble() is None
    verdicts.good_at = long_ago()
    assert verdicts.trouble() is not None


def test_first_records_that_all_fail_are_the_projections_fault() -> None:
    verdicts = Verdicts("p")
    verdicts.put_up_with(FIRST_BAD_MAX, "no")
    verdicts.note(0, FIRST_BAD_MAX, "no")
    with pytest.raises(ProjectionFailed, match=r"none of the first 21 records of p .* t/0@7: no"):
        verdicts.put_up_with(1, "t/0@7: no")
    verdicts.try_again()
    verdicts.put_up_with(FIRST_BAD_MAX, "no")


def test_with_a_row_no_number_of_bad_records_is() -> None:
    verdicts = Verdicts("p")
    verdicts.begin(True, 10_000, "no")
    verdicts.put_up_with(100_000, "no")
    assert verdicts.bad == 0
    verdicts.begin(False, 10, "no")
    assert (verdicts.bad, verdicts.trouble() is None) == (10, False)


def test_on_a_quiet_topic_it_is_well_again_after_a_while() -> None:
    verdicts = Verdicts("p")
    verdicts.note(1, 0, "")
    verdicts.good_at = time.monotonic() - 3600
    verdicts.note(0, 10, "no")
    assert verdicts.trouble() is not None
    verdicts.bad_at -= BAD_FOR_S + 1
    assert verdicts.trouble() is None
    verdicts.note(0, 1, "no")
    assert verdicts.trouble() is not None


def test_without_a_row_no_while_helps() -> None:
    verdicts = Verdicts("p")
    verdicts.begin(False, 10, "no")
    verdicts.bad_at -= BAD_FOR_S + 1
    assert verdicts.trouble() is not None
