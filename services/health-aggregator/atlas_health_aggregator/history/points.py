"""What is remembered of a stretch of time: the most and the last of a lag. Pure.

    Level    how long a point is, how many of them are kept, how many are written as one block
    Point    the most and the last that was seen within one step of a level
    Ring     the points of one level: a fixed number of slots, each with the newest point that belongs there
    Series   the rings of one group and topic

Points of one slot are merged, and merging is commutative, associative and idempotent: whoever observes, writes or
reads one twice, or two that observe the same, makes no second point, and what was the most stays the most.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """`at` is the time of the newest observation in it, epoch milliseconds; seconds are None where nobody knew them."""

    at: int
    records_max: int
    records_last: int
    seconds_max: float | None
    seconds_last: float | None


class Level(NamedTuple):
    """Points of `step_s` seconds, `slots` of them; `block` of them are written together."""

    step_s: int
    slots: int
    block: int

    @property
    def step_ms(self) -> int:
        """The length of a point."""
        return self.step_s * 1000

    @property
    def block_ms(self) -> int:
        """The length of a block."""
        return self.step_ms * self.block

    @property
    def blocks(self) -> int:
        """How many blocks the slots are."""
        return self.slots // self.block

    @property
    def span_ms(self) -> int:
        """How far back the points reach."""
        return self.step_ms * self.slots


# 10 s for two hours, a minute for a day, ten minutes for a week; each step is a multiple of the one before.
LEVELS = (Level(10, 720, 6), Level(60, 1440, 10), Level(600, 1008, 6))
WEEK_MS = LEVELS[-1].span_ms
# Slots that take memory together: a part of each level's.
CHUNK = 72
# In a ring, of seconds that nobody knew: no age is below 0.
_UNKNOWN = -1.0


def observed(at: int, records: int, seconds: float | None) -> Point:
    """The point of one observation; seconds to the millisecond."""
    seconds = None if seconds is None else round(seconds, 3)
    return Point(at, records, records, seconds, seconds)


def merged(one: Point, other: Point) -> Point:
    """Both as one point of a slot."""
    newest = _newer(one, other)
    seconds_max = one.seconds_max if other.seconds_max is None else other.seconds_max
    if one.seconds_max is not None and other.seconds_max is not None:
        seconds_max = max(one.seconds_max, other.seconds_max)
    return Point(
        newest.at,
        max(one.records_max, other.records_max),
        newest.records_last,
        seconds_max,
        newest.seconds_last,
    )


def _newer(one: Point, other: Point) -> Point:
    if one.at != other.at:
        return one if one.at > other.at else other
    return max(one, other, key=_last)


def _last(point: Point) -> tuple[int, float]:
    # Of the same moment: any order will do as long as it is one.
    return point.records_last, _UNKNOWN if point.seconds_last is None else point.seconds_last


class _Chunk:
    """Slots of a ring that are next to each other."""

    __slots__ = ("at", "records_last", "records_max", "seconds_last", "seconds_max")

    def __init__(self) -> None:
        self.at = array("q", bytes(8 * CHUNK))
        self.records_max = array("q", bytes(8 * CHUNK))
        self.records_last = array("q", bytes(8 * CHUNK))
        self.seconds_max = array("d", bytes(8 * CHUNK))
        self.seconds_last = array("d", bytes(8 * CHUNK))

    def get(self, index: int) -> Point:
        return Point(
            self.at[index],
            self.records_max[index],
            self.records_last[index],
            _known(self.seconds_max[index]),
            _known(self.seconds_last[index]),
        )

    def put(self, index: int, point: Point) -> None:
        self.at[index], self.records_max[index], self.records_last[index], seconds_max, seconds_last = point
        self.seconds_max[index] = _UNKNOWN if seconds_max is None else seconds_max
        self.seconds_last[index] = _UNKNOWN if seconds_last is None else seconds_last


class Ring:
    """The newest points of one level, 40 bytes a slot whatever comes in; slots take memory once they are reached."""

    def __init__(self, level: Level) -> None:
        self._step_ms, self._slots = level.step_ms, level.slots
        self._chunks: list[_Chunk | None] = [None] * (level.slots // CHUNK)

    def put(self, point: Point) -> bool:
        """Take a point; whether that changed anything. What is older than the slots reach is let go."""
        number = point.at // self._step_ms
        where, index = divmod(number % self._slots, CHUNK)
        chunk = self._chunks[where]
        if chunk is None:
            chunk = self._chunks[where] = _Chunk()
        there = chunk.at[index] // self._step_ms
        if there > number:
            return False
        if there == number:
            before = chunk.get(index)
            if point == before:
                return False
            point = merged(before, point)
            if point == before:
                return False
        chunk.put(index, point)
        return True

    def points(self, start_ms: int, end_ms: int) -> Iterator[Point]:
        """The points of the slots that begin in [start, end), oldest first, each once."""
        first, after = -(-start_ms // self._step_ms), -(-end_ms // self._step_ms)
        numbers: Iterable[int] = range(first, after)
        if after - first > self._slots:
            times = (at for chunk in self._chunks if chunk is not None for at in chunk.at if at)
            numbers = sorted(number for at in times if first <= (number := at // self._step_ms) < after)
        for number in numbers:
            where, index = divmod(number % self._slots, CHUNK)
            chunk = self._chunks[where]
            if chunk is not None and chunk.at[index] // self._step_ms == number:
                yield chunk.get(index)


class Series:
    """Everything that is remembered of one group and topic. `newest_at`: epoch milliseconds of the last observation."""

    def __init__(self) -> None:
        self._rings = [Ring(level) for level in LEVELS]
        self.newest_at = 0

    def put(self, level: int, points: Sequence[Point]) -> set[int]:
        """Take points of a level, in order of time, which are part of those of each coarser level too; the levels that
        they changed.
        """
        changed = {level for point in points if self._rings[level].put(point)}
        for coarser in range(level + 1, len(LEVELS)):
            points = list(_thinned(points, LEVELS[coarser].step_ms))
            changed |= {coarser for point in points if self._rings[coarser].put(point)}
        self.newest_at = max(self.newest_at, points[-1].at if points else 0)
        return changed

    def points(self, level: int, start_ms: int, end_ms: int) -> Iterator[Point]:
        """As `Ring.points`."""
        return self._rings[level].points(start_ms, end_ms)


def _thinned(points: Iterable[Point], step_ms: int) -> Iterator[Point]:
    """One point for all that are in one step after another."""
    last: Point | None = None
    for point in points:
        if last is None or last.at // step_ms == point.at // step_ms:
            last = point if last is None else merged(last, point)
        else:
            yield last
            last = point
    if last is not None:
        yield last


def _known(seconds: float) -> float | None:
    return None if seconds == _UNKNOWN else seconds
