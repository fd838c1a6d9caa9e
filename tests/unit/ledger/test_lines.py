"""The arithmetic of a line: what is in flight is not lost, and what is lost is."""

from dataclasses import replace

from atlas_ledger.lines import Extent, Line, archive_line, projection_line
from atlas_ledger.tally import Archived, Segment, Tally
from atlas_readmodel.accounts import Position

EXTENT = Extent("t", 0, "id", 0, 120)
ARCHIVED = Archived((Segment(0, 0, 100, 98),))
POSITION = Position("p", "t", 0, "id", 110, 108)
READ = {(100, 110): 10, (110, 120): 9}


def projected(position: Position = POSITION, extent: Extent = EXTENT, *, read: bool = True) -> Line:
    return projection_line(extent, position, Tally(ARCHIVED, READ if read else {}))


def archived(archive: Archived = ARCHIVED, extent: Extent = EXTENT) -> Line:
    return archive_line(extent, archive, Tally(archive, READ))


def test_all_that_was_handled_is_accounted_for() -> None:
    line = projected()
    assert (line.group, line.unaccounted, line.unproven, line.reason) == ("projector.p", 0, 0, "")
    assert (line.in_flight, line.in_flight_exact) == (9, True)
    assert line.outcomes == {"projected": 108, "dead_lettered": 0, "dropped": 0, "skipped": 0, "waiting": 0}


def test_what_was_set_aside_is_not_projected() -> None:
    line = projected(replace(POSITION, dead_lettered=3, dropped=2, skipped=1, waiting=4))
    assert line.outcomes["projected"] == 98
    assert line.unaccounted == 0


def test_a_record_that_never_reached_it_is_unaccounted_for() -> None:
    line = projected(replace(POSITION, events=107))
    assert (line.unaccounted, line.reason) == (1, "1 of at least 108 records never reached it")


def test_a_record_that_was_taken_twice_is_too() -> None:
    line = projected(replace(POSITION, events=110))
    assert (line.unaccounted, line.reason) == (2, "2 more than the 108 records that there can be")


def test_what_was_not_counted_yet_is_not_called_lost() -> None:
    line = projected(replace(POSITION, events=100), read=False)
    assert (line.unaccounted, line.unproven) == (0, 8)
    assert (line.in_flight, line.in_flight_exact) == (10, False)
    assert projected(replace(POSITION, events=97), read=False).unaccounted == 1  # fewer than the archive alone has


def test_of_a_compacted_topic_nothing_is_counted() -> None:
    line = projected(replace(POSITION, events=5), replace(EXTENT, compacted=True))
    assert (line.unaccounted, line.unproven) == (0, 0)
    assert "compaction" in line.reason


def test_a_position_of_a_topic_that_was_deleted_says_nothing_of_this_one() -> None:
    line = projected(replace(POSITION, topic_id="former"))
    assert (line.next_offset, line.unaccounted, line.outcomes) == (0, 0, {})
    assert line.in_flight == 98 + 10 + 9
    assert projected(replace(POSITION, topic_id=None)).unaccounted == 0  # noted by a version that knew no ids


def test_what_the_topic_does_not_have_any_more_is_unaccounted_for() -> None:
    assert projected(extent=replace(EXTENT, end=105)).unaccounted == 5
    short = archived(extent=replace(EXTENT, end=90))
    assert (short.unaccounted, short.reason) == (
        10,
        "archived and not on the topic any more, which ends at 90: offsets 90 - 99",
    )


def test_the_archive_is_accounted_for_up_to_its_end() -> None:
    line = archived()
    assert (line.group, line.next_offset, line.unaccounted, line.in_flight) == ("archiver", 100, 0, 19)
    assert line.outcomes == {"archived": 98, "given_up_offsets": 0, "known_gap_offsets": 0}


def test_a_hole_in_the_archive_is_unaccounted_for_until_it_is_accepted() -> None:
    hole = Archived((Segment(0, 0, 40, 40), Segment(50, 60, 100, 40)))
    assert (archived(hole).unaccounted, archived(hole).reason) == (
        20,
        "no record, and nobody has accepted it: offsets 40 - 59",
    )
    accepted = archived(replace(hole, accepted=[(40, 60)]))
    assert (accepted.unaccounted, accepted.outcomes["known_gap_offsets"]) == (0, 20)


def test_what_is_gone_from_the_topic_and_was_not_archived_is_unaccounted_for() -> None:
    assert archived(extent=replace(EXTENT, first=110)).unaccounted == 10
    # One offset may be the marker of the last transaction: nobody can tell.
    assert archived(extent=replace(EXTENT, first=101)).unaccounted == 0


def test_what_retention_gave_up_is_accounted_for() -> None:
    line = archived(Archived((Segment(50, 50, 100, 50),), floor=50))
    assert (line.unaccounted, line.outcomes["given_up_offsets"]) == (0, 50)


def test_an_archive_that_can_not_be_read_proves_nothing() -> None:
    line = archived(Archived(trouble="?"))
    assert (line.unaccounted, line.unproven, line.reason) == (0, 120, "the archive can't be read: ?")
