"""What is known of the records between two offsets, from segments and from what was read."""

from itertools import pairwise

from atlas_ledger.tally import Archived, Bounds, Segment, Tally, around, to_count
from hypothesis import given
from hypothesis import strategies as st

TWO = Archived((Segment(0, 0, 100, 90), Segment(100, 100, 200, 100)))


def test_between_ends_of_segments_the_manifests_know() -> None:
    tally = Tally(TWO, {})
    assert tally.between(0, 200) == (190, 190)
    assert tally.between(100, 200) == (100, 100)
    assert tally.between(200, 200) == (0, 0)


def test_past_the_archive_there_are_bounds_until_it_was_read() -> None:
    assert Tally(TWO, {}).between(0, 230) == (190, 220)
    assert Tally(TWO, {(200, 230): 25}).between(0, 230) == (215, 215)
    assert Tally(TWO, {(200, 230): 25}).between(0, 240) == (215, 225)


def test_within_a_segment_its_other_offsets_bound_it() -> None:
    assert Tally(TWO, {}).between(0, 30) == (20, 30)  # 90 records in 100 offsets: at most 10 of the 30 are none
    assert Tally(TWO, {}).between(0, 150) == (140, 140)  # every offset of the second is a record
    assert Tally(TWO, {(30, 100): 62}).between(30, 100) == (62, 62)


def test_what_was_gone_before_it_was_archived_may_have_been_records() -> None:
    gap = Archived((Segment(0, 0, 100, 100), Segment(100, 150, 200, 50)))
    assert Tally(gap, {}).between(0, 200) == (150, 200)
    assert gap.lacks() == gap.unaccepted() == [(100, 150)]
    assert Archived(gap.segments, 0, [(90, 160)]).unaccepted() == []
    assert Archived(gap.segments, 0, [(100, 149)]).unaccepted() == [(100, 150)]


def test_a_hole_between_two_segments_is_lacking() -> None:
    hole = Archived((Segment(0, 0, 10, 10), Segment(20, 20, 30, 10)))
    assert hole.lacks() == [(10, 20)]
    assert Tally(hole, {}).between(0, 30) == (20, 30)


def test_what_retention_gave_up_is_not_lacking_and_not_known() -> None:
    later = Archived((Segment(100, 100, 200, 80),), floor=100)
    assert later.lacks() == []
    assert Tally(later, {}).between(0, 200) == (80, 180)


def test_the_ends_around_an_offset() -> None:
    assert around(TWO, 150) == (100, 200)
    assert around(TWO, 100) == (100, 100)
    assert around(TWO, 250) == (200, 250)
    assert around(Archived(), 7) == (0, 7)


def test_short_stretches_are_read_where_the_topic_has_them() -> None:
    assert to_count(TWO, [200, 230], first=0, end=240) == [(200, 230), (230, 240)]
    assert to_count(TWO, [150], first=0, end=200) == [(100, 150), (150, 200)]
    assert to_count(TWO, [150], first=120, end=200) == [(150, 200)]
    assert to_count(TWO, [200, 240], first=230, end=240) == [(230, 240)]
    assert to_count(TWO, [230], first=0, end=100_000) == [(200, 230)]
    assert to_count(TWO, [100, 200], first=0, end=200) == []


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[bool], list[int]]:
    """Which offsets hold a record, and at which the archive's segments end."""
    log = draw(st.lists(st.booleans(), min_size=1, max_size=60))
    return log, sorted(draw(st.sets(st.integers(1, len(log)), max_size=5)))


@given(logs(), st.lists(st.integers(0, 60), min_size=1, max_size=4), st.integers(0, 60))
def test_the_truth_is_within_the_bounds_and_exact_where_it_was_read(
    found: tuple[list[bool], list[int]], offsets: list[int], first: int
) -> None:
    log, stops = found
    archived = Archived(tuple(Segment(a, a, b, sum(log[a:b])) for a, b in pairwise([0, *stops])))
    offsets = [min(offset, len(log)) for offset in offsets]
    read = {(a, b): sum(log[a:b]) for a, b in to_count(archived, [archived.stop, *offsets], first, len(log))}
    for offset in offsets:
        low, high = Tally(archived, read).between(0, offset)
        assert low <= sum(log[:offset]) <= high
        if first == 0:
            assert Bounds(low, high).exact
