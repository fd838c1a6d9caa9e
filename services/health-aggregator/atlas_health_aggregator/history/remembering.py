"""The history of every group and topic, in memory. Pure: time comes in as an argument.

What changed since it was written is known by block: all series of some steps of one level.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from atlas_health_aggregator.history.points import LEVELS, WEEK_MS, Point, Series, observed
from atlas_health_aggregator.judging.lag_rows import Lag

# A group and a topic.
Key = tuple[str, str]


class Block(NamedTuple):
    """All series of `LEVELS[level].block` steps; `number` counts blocks since the epoch."""

    level: int
    number: int

    @property
    def start_ms(self) -> int:
        """Where it begins, epoch milliseconds."""
        return self.number * LEVELS[self.level].block_ms

    @property
    def end_ms(self) -> int:
        """Where the next one begins."""
        return self.start_ms + LEVELS[self.level].block_ms


class History:
    """At most `series_max` series; those of the mesh's own groups first, then those that it has already.

    `left_out`: how many there were no room for at the last observation. `complete`: what was kept before has been read.
    """

    def __init__(self, series_max: int) -> None:
        self._series_max = series_max
        self._series: dict[Key, Series] = {}
        self._unwritten: set[Block] = set()
        self.left_out = 0
        self.complete = False

    def __len__(self) -> int:
        return len(self._series)

    def series(self) -> list[Key]:
        """Every group and topic that is remembered, in order."""
        return sorted(self._series)

    def observe(self, lags: Mapping[Key, Lag], now_ms: int) -> None:
        """Take what was seen now, and forget what was not seen for a week. `lags` come worst first."""
        wanted = sorted(lags, key=lambda key: (not lags[key].ours, key not in self._series))[: self._series_max]
        self.left_out = len(lags) - len(wanted)
        present = set(wanted)
        for key in wanted:
            series = self._series.get(key)
            if series is None:
                if len(self._series) >= self._series_max:
                    del self._series[min(self._series.keys() - present, key=self._newest_at)]
                series = self._series[key] = Series()
            self._put(series, 0, [observed(now_ms, lags[key].records, lags[key].seconds)])
        for key in [key for key, series in self._series.items() if now_ms - series.newest_at > WEEK_MS]:
            del self._series[key]

    def take(self, block: Block, points: Mapping[Key, Sequence[Point]], *, whole: bool) -> None:
        """Take what was written of a block, points in order of time; `whole`: nothing of it is left to be written.

        Where there is no room, series that were seen longest ago make it for those that were seen since.
        """
        for key, of_key in points.items():
            if not of_key:
                continue
            series = self._series.get(key) or self._room_for(key, of_key[-1].at)
            if series is not None:
                self._put(series, block.level, of_key)
        if whole:
            self._unwritten.discard(block)
        else:
            self._unwritten.add(block)

    def points(self, key: Key, level: int, start_ms: int, end_ms: int) -> Iterator[Point]:
        """The points of a series that begin in [start, end), oldest first; none of one that is not remembered."""
        series = self._series.get(key)
        return iter(()) if series is None else series.points(level, start_ms, end_ms)

    def of_block(self, block: Block) -> Iterator[tuple[Key, list[Point]]]:
        """The series that have points in a block, in order."""
        for key in self.series():
            if points := list(self.points(key, block.level, block.start_ms, block.end_ms)):
                yield key, points

    def due(self, now_ms: int) -> list[Block]:
        """The blocks that are over and not written, finer levels first, then older ones."""
        self._unwritten = {block for block in self._unwritten if now_ms - block.start_ms < LEVELS[block.level].span_ms}
        return sorted(block for block in self._unwritten if block.end_ms <= now_ms)

    def unfinished(self) -> list[Block]:
        """What is not written of the finest level, from which the others can be made again; oldest first."""
        return sorted(block for block in self._unwritten if block.level == 0)

    def written(self, block: Block) -> None:
        """It is kept now."""
        self._unwritten.discard(block)

    def _put(self, series: Series, level: int, points: Sequence[Point]) -> None:
        # All of one block, which is within one of each coarser level.
        for changed in series.put(level, points):
            self._unwritten.add(Block(changed, points[0].at // LEVELS[changed].block_ms))

    def _room_for(self, key: Key, newest_at: int) -> Series | None:
        if len(self._series) >= self._series_max:
            oldest = min(self._series, key=self._newest_at)
            if self._newest_at(oldest) >= newest_at:
                return None
            del self._series[oldest]
        series = self._series[key] = Series()
        return series

    def _newest_at(self, key: Key) -> int:
        return self._series[key].newest_at
