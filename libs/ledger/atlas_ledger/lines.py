"""A line of the ledger: what one group has done with the records of one partition. Pure.

For whoever reads a topic, end = handled + in flight, and handled = what it says it made of them + unaccounted.
Two that count apart are held against each other: the archive's manifests, and the events beside a position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from atlas_readmodel.accounts import Position

from atlas_ledger.tally import Archived, Bounds, Stretch, Tally

ARCHIVER = "archiver"
_SHOWN_STRETCHES = 3


@dataclass(frozen=True, slots=True)
class Extent:
    """A partition as the topic is now: its id, its first offset, and the one after its last committed record."""

    topic: str
    partition: int
    topic_id: str
    first: int
    end: int
    compacted: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """`group` has come to `next_offset` of a partition that ends at `end`.

    `outcomes`: records by what became of them. `in_flight`: records still to come; offsets, which are no fewer, where
    `in_flight_exact` is false. `unaccounted`: records of which nobody can say what became; at least so many.
    `unproven`: so many more could be, for what lies between two counts was not counted yet. `reason`: why, in words.
    """

    topic: str
    partition: int
    group: str
    next_offset: int
    end: int
    in_flight: int
    in_flight_exact: bool
    outcomes: Mapping[str, int]
    unaccounted: int
    unproven: int
    reason: str

    def as_json(self) -> dict[str, Any]:
        """For people and programs, with the names of the fields."""
        return asdict(self)


def archive_line(extent: Extent, archived: Archived, tally: Tally) -> Line:
    """What the archive has. Unaccounted is what nobody has accepted that it lacks, in offsets: nobody can say how many
    records those were.
    """
    if archived.trouble:
        reason = f"the archive can't be read: {archived.trouble}"
        return _line(extent, ARCHIVER, 0, tally.between(extent.first, extent.end), {}, (0, extent.end, reason))
    lacking = archived.unaccepted()
    going = _gone_since(archived.stop, extent)
    beyond = max(0, archived.stop - extent.end)
    missing = [*lacking, *([going] if going else []), *([(extent.end, archived.stop)] if beyond else [])]
    known = sum(stop - start for start, stop in archived.lacks()) - sum(stop - start for start, stop in lacking)
    in_flight = tally.between(max(archived.stop, extent.first), extent.end)
    outcomes = {
        "archived": archived.records,
        "given_up_offsets": archived.floor,
        "known_gap_offsets": known,
    }
    reason = f"no record, and nobody has accepted it: {_told(missing)}" if missing else ""
    if beyond:
        reason = f"archived and not on the topic any more, which ends at {extent.end}: {_told(missing)}"
    return _line(extent, ARCHIVER, archived.stop, in_flight, outcomes, (_length(missing), 0, reason))


def projection_line(extent: Extent, position: Position, tally: Tally) -> Line:
    """What a projection made of the records before its position, held against how many those were."""
    group = f"projector.{position.projection}"
    if position.topic_id not in (None, extent.topic_id):
        # Of a topic that is gone: of the one that is there it has read nothing.
        in_flight = tally.between(extent.first, extent.end)
        return _line(extent, group, 0, in_flight, {}, (0, 0, "its position is of a topic that was deleted"))
    in_flight = tally.between(max(position.next_offset, extent.first), extent.end)
    beyond = position.next_offset - extent.end
    if beyond > 0:
        reason = f"handled and not on the topic any more, which ends at {extent.end}"
        return _line(extent, group, position.next_offset, in_flight, _outcomes(position), (beyond, 0, reason))
    judged = _judged(extent, position, tally.between(0, position.next_offset))
    return _line(extent, group, position.next_offset, in_flight, _outcomes(position), judged)


def _judged(extent: Extent, position: Position, there: Bounds) -> tuple[int, int, str]:
    if extent.compacted:
        return 0, 0, "compaction takes records away: they can't be counted"
    if position.events < there.low:
        lost = there.low - position.events
        return lost, there.high - there.low, f"{lost} of at least {there.low} records never reached it"
    if position.events > there.high:
        twice = position.events - there.high
        return twice, there.high - there.low, f"{twice} more than the {there.high} records that there can be"
    unproven = max(there.high - position.events, position.events - there.low)
    return 0, unproven, "" if unproven == 0 else "not counted yet between the archive's end and its position"


def _outcomes(position: Position) -> dict[str, int]:
    aside = position.dead_lettered + position.dropped + position.skipped + position.waiting
    return {
        "projected": max(0, position.events - aside),
        "dead_lettered": position.dead_lettered,
        "dropped": position.dropped,
        "skipped": position.skipped,
        "waiting": position.waiting,
    }


def _line(
    extent: Extent,
    group: str,
    next_offset: int,
    in_flight: Bounds,
    outcomes: Mapping[str, int],
    judged: tuple[int, int, str],
) -> Line:
    unaccounted, unproven, reason = judged
    return Line(
        extent.topic,
        extent.partition,
        group,
        next_offset,
        extent.end,
        in_flight.high,
        in_flight.exact,
        outcomes,
        unaccounted,
        unproven,
        reason,
    )


def _gone_since(archived_to: int, extent: Extent) -> Stretch | None:
    """What the topic has lost since the archive's last record. One offset is the marker of a transaction, of which
    retention has removed all there was: nobody can tell any more.
    """
    return (archived_to, extent.first) if extent.first > archived_to + 1 else None


def _length(stretches: Sequence[Stretch]) -> int:
    return sum(stop - start for start, stop in stretches)


def _told(stretches: Sequence[Stretch]) -> str:
    shown = ", ".join(f"{start} - {stop - 1}" for start, stop in stretches[:_SHOWN_STRETCHES])
    more = len(stretches) - _SHOWN_STRETCHES
    return f"offsets {shown}" + (f" and {more} more stretches" if more > 0 else "")
