"""How many records lie between two offsets, as far as that is known. Pure.

Offsets are no records: transactions end with a marker, what was aborted keeps its offsets, compaction takes records
and leaves theirs. So a number of records comes from who counted them: the archive's manifests say how many are in each
segment, and short stretches of the topic are read. Between, nothing is guessed: there are bounds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

# A stretch of a topic that is longer is not read to count it.
COUNTED_MAX = 10_000

Stretch = tuple[int, int]


class Bounds(NamedTuple):
    """So many at least, and so many at most."""

    low: int
    high: int

    @property
    def exact(self) -> bool:
        return self.low == self.high

    def plus(self, other: "Bounds") -> "Bounds":
        return Bounds(self.low + other.low, self.high + other.high)


class Segment(NamedTuple):
    """What the archive has of [start, stop): `records`. What lay before `first` was gone when it was opened."""

    start: int
    first: int
    stop: int
    records: int


@dataclass(frozen=True, slots=True)
class Archived:
    """The archive of a partition: segments in order, and the stretches whose lack is known and accepted.

    What lies before `floor` retention has given up. `trouble`: why nothing is known of it.
    """

    segments: Sequence[Segment] = ()
    floor: int = 0
    accepted: Collection[Stretch] = ()
    trouble: str = ""

    @property
    def stop(self) -> int:
        """The first offset that is not archived."""
        return self.segments[-1].stop if self.segments else self.floor

    @property
    def records(self) -> int:
        return sum(segment.records for segment in self.segments)

    def lacks(self) -> list[Stretch]:
        """The stretches between floor and stop that are in no segment, accepted or not."""
        found, at = [], self.floor
        for segment in self.segments:
            begin = max(segment.start, segment.first)
            if begin > at:
                found.append((at, begin))
            at = max(at, segment.stop)
        return found

    def unaccepted(self) -> list[Stretch]:
        """Those that nobody has said are known."""
        return [(a, b) for a, b in self.lacks() if not any(start <= a and b <= stop for start, stop in self.accepted)]


def around(archived: Archived, offset: int) -> Stretch:
    """The ends of segments next to an offset, at or before it and at or after it; both itself beyond the archive."""
    stops = [segment.stop for segment in archived.segments]
    at = bisect_right(stops, offset)
    before = stops[at - 1] if at else 0
    after = stops[bisect_left(stops, offset)] if stops and offset <= stops[-1] else offset
    return before, after


def to_count(archived: Archived, offsets: Iterable[int], first: int, end: int) -> list[Stretch]:
    """The stretches of the topic worth reading, so that it is known what lies before and after each of the offsets."""
    wanted = {offset for offset in offsets if offset <= end}
    if archived.stop < first <= end:
        wanted.add(first)  # what lies before is gone, but not what lies behind it
    points = sorted({end, *wanted, *(side for offset in wanted for side in around(archived, offset) if side <= end)})
    stops = {0, *(segment.stop for segment in archived.segments)}
    return [
        (start, stop)
        for start, stop in pairwise(points)
        if first <= start and stop - start <= COUNTED_MAX and not {start, stop} <= stops
    ]


class Tally:
    """What is known of one partition. `counted`: records by stretch, read from the topic."""

    def __init__(self, archived: Archived, counted: Mapping[Stretch, int]) -> None:
        self._counted = counted
        self._points = sorted({point for stretch in counted for point in stretch})
        # Of each end of a segment: how many records lie before it.
        self._stops, self._before = [0], [Bounds(0, 0)]
        for segment in archived.segments:
            lacking = max(0, max(segment.start, segment.first) - self._stops[-1])
            known = Bounds(segment.records, segment.records + lacking)
            self._before.append(self._before[-1].plus(known))
            self._stops.append(segment.stop)

    def between(self, start: int, stop: int) -> Bounds:
        """The records of [start, stop)."""
        if stop <= start:
            return Bounds(0, 0)
        i, j = bisect_left(self._stops, start), bisect_right(self._stops, stop) - 1
        if i > j:
            return self._edge(start, stop)
        low, high = (self._before[j][side] - self._before[i][side] for side in (0, 1))
        return self._edge(start, self._stops[i]).plus(Bounds(low, high)).plus(self._edge(self._stops[j], stop))

    def _edge(self, start: int, stop: int) -> Bounds:
        """Of a stretch that has no end of a segment within it."""
        total = Bounds(0, 0)
        inner = self._points[bisect_right(self._points, start) : bisect_left(self._points, stop)]
        for a, b in pairwise([start, *inner, stop]):
            total = total.plus(self._of(a, b))
        return total

    def _of(self, start: int, stop: int) -> Bounds:
        if start == stop:
            return Bounds(0, 0)
        if (counted := self._counted.get((start, stop))) is not None:
            return Bounds(counted, counted)
        length = stop - start
        at = bisect_right(self._stops, start)
        if at == len(self._stops):
            return Bounds(0, length)
        # Within a segment: no more than it has, and no fewer than its other offsets leave over.
        low, high = (self._before[at][side] - self._before[at - 1][side] for side in (0, 1))
        others = self._stops[at] - self._stops[at - 1] - length
        return Bounds(max(0, low - others), min(length, high))
