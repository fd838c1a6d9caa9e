"""The rows of one round, worst first, made when they are asked for: there may be hundreds of thousands. Pure."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np

from atlas_health_aggregator.judging.columns import Lags, position_of, scan_of, valid
from atlas_health_aggregator.judging.lag_rows import NEVER, Lag, LagRow, LagState, lag_row
from atlas_health_aggregator.judging.layout import Flags, Floats, Ints
from atlas_health_aggregator.judging.statuses import Judged
from atlas_health_aggregator.judging.windows import status_named
from atlas_health_aggregator.topic_configs import TopicConfig

_STATES = list(LagState)
_OLD, _BEYOND = _STATES.index(LagState.OLD_TOPIC), _STATES.index(LagState.BEYOND_END)


@dataclass(frozen=True, slots=True)
class TopicLag:
    """A group and a topic, as `LagRow` of all its partitions: sums, the worst of what can't be summed, and `lag_most`
    of a partition.
    """

    group: str
    topic: str
    lag_records: int
    lag_most: int
    lag_seconds: float | None
    committed: int | None
    records_lost: int
    blocked_records: int
    retention_margin_s: float | None
    is_beyond_end: bool
    is_of_old_topic: bool
    rate_in: float | None
    rate_out: float | None
    catch_up_s: float | None


@dataclass(frozen=True)
class Round:
    """Everything that is known of every row."""

    lags: Lags
    judged: Judged
    configs: Mapping[str, TopicConfig]

    @cached_property
    def valid(self) -> Flags:
        """Whose first unread record is known."""
        return valid(self.lags.stands, self.lags.scans)

    @cached_property
    def _retention(self) -> dict[str, int]:
        return {topic: config.retention_ms for topic, config in self.configs.items()}

    def row(self, at: int) -> LagRow:
        """One row."""
        stands = self.lags.stands
        position = position_of(stands, at, self._retention)
        row = lag_row(position, scan_of(self.lags.scans, at) if self.valid[at] else None, self.lags.now_ms)
        came, went = self.judged.rate_in[at : at + 1], self.judged.rate_out[at : at + 1]
        (catch_up,) = _known(_catch_up(np.array([row.lag_records]), came, went))
        return replace(
            row,
            status=status_named(int(self.judged.status[at])),
            clock=self.configs.get(position.topic, _FOR_EVER).clock,
            rate_in=_known(came)[0],
            rate_out=_known(went)[0],
            catch_up_s=catch_up,
        )

    def group_sizes(self) -> dict[str, int]:
        """How many rows each group has."""
        layout = self.lags.stands.layout
        return dict(zip(layout.groups, np.bincount(layout.group).tolist(), strict=True))

    def by_topic(self) -> list[TopicLag]:
        """A row for each group and topic, by name."""
        lags, layout = self.lags, self.lags.stands.layout
        if not layout.blocks:
            return []
        stands, starts = lags.stands, layout.starts
        retention = np.array([self.configs.get(each.topic, _FOR_EVER).retention_ms for each in layout.blocks])
        kept = retention[layout.block]
        margin = np.where((kept >= 0) & (lags.seconds > 0), kept / 1000 - lags.seconds, np.nan)
        held = np.minimum(lags.records, np.maximum(0, stands.places.end - stands.places.stable)[layout.place])
        records = np.add.reduceat(lags.records, starts)
        came, went = (np.add.reduceat(each, starts) for each in (self.judged.rate_in, self.judged.rate_out))
        columns = (
            records.tolist(),
            np.maximum.reduceat(lags.records, starts).tolist(),
            _known(np.fmax.reduceat(lags.seconds, starts)),
            _committed(stands.committed, starts),
            np.add.reduceat(lags.lost, starts).tolist(),
            np.add.reduceat(held, starts).tolist(),
            _known(np.fmin.reduceat(margin, starts)),
            np.logical_or.reduceat(lags.state == _BEYOND, starts).tolist(),
            np.logical_or.reduceat(lags.state == _OLD, starts).tolist(),
            _known(came),
            _known(went),
            _known(_catch_up(records, came, went)),
        )
        return [
            TopicLag(block.group, block.topic, *values)
            for block, values in zip(layout.blocks, zip(*columns, strict=True), strict=True)
        ]

    def sums(self) -> dict[tuple[str, str], Lag]:
        """The lag of each group and topic, in the order of their worst rows."""
        layout = self.lags.stands.layout
        if not layout.blocks:
            return {}
        records = np.add.reduceat(self.lags.records, layout.starts)
        seconds = _known(np.fmax.reduceat(self.lags.seconds, layout.starts))
        blocks, first = np.unique(layout.block[self.order], return_index=True)
        found = {}
        for at in blocks[np.argsort(first)].tolist():
            block = layout.blocks[at]
            ours = self.lags.stands.groups[block.group].ours
            found[block.group, block.topic] = Lag(int(records[at]), seconds[at], ours)
        return found

    @cached_property
    def order(self) -> Ints:
        """The rows by state (worst first), then oldest record, then group, topic and partition; as `rank`."""
        timed = (self.lags.records > 0) & ~np.isnan(self.lags.seconds)
        written = np.where(timed, self.lags.scans.unread, NEVER)
        return np.lexsort((written, self.lags.state)).astype(np.int64)


class Rows(Sequence[LagRow]):
    """Some rows of a round, in order."""

    def __init__(self, of: Round, order: Ints | None = None) -> None:
        self._of = of
        self._order = of.order if order is None else order

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, at: int) -> LagRow: ...
    @overload
    def __getitem__(self, at: slice) -> list[LagRow]: ...
    def __getitem__(self, at: int | slice) -> LagRow | list[LagRow]:
        if isinstance(at, slice):
            return [self._of.row(each) for each in self._order[at].tolist()]
        return self._of.row(int(self._order[at]))

    @cached_property
    def made(self) -> list[LagRow]:
        """All of them."""
        return self[:]

    def only(self, group: str | None, topic: str | None) -> "Rows":
        """Those of a group, and of a topic; None: of any."""
        layout = self._of.lags.stands.layout
        blocks = [group in (None, block.group) and topic in (None, block.topic) for block in layout.blocks]
        chosen = np.array(blocks, np.bool_)[layout.block] if blocks else np.zeros(0, np.bool_)
        return Rows(self._of, self._order[chosen[self._order]])

    def of_groups(self, groups: Set[str]) -> "Rows":
        """Those of some groups."""
        layout = self._of.lags.stands.layout
        chosen = np.array([name in groups for name in layout.groups], np.bool_)
        return Rows(self._of, self._order[chosen[layout.group[self._order]]])


def chosen(rows: Sequence[LagRow], group: str | None = None, topic: str | None = None) -> Sequence[LagRow]:
    """The rows of a group, and of a topic; None: of any."""
    if isinstance(rows, Rows):
        return rows.only(group, topic)
    wanted: Callable[[LagRow], bool] = lambda row: group in (None, row.group) and topic in (None, row.topic)  # noqa: E731
    return [row for row in rows if wanted(row)]


def _catch_up(records: Ints, came: Floats, went: Floats) -> Floats:
    """Seconds until nothing waits, at these rates; NaN: never, or not known."""
    faster = np.where(went > came, went - came, np.nan)
    return np.where(records == 0, 0.0, records / faster)


def _committed(offsets: Ints, starts: Ints) -> list[int | None]:
    """The sum of what is committed; None where nothing is."""
    sums = np.add.reduceat(np.maximum(offsets, 0), starts).tolist()
    return [None if most < 0 else total for total, most in zip(sums, np.maximum.reduceat(offsets, starts), strict=True)]


def _known(values: Floats) -> list[float | None]:
    """To the millisecond; None for NaN."""
    return [None if value != value else value for value in np.round(values, 3).tolist()]  # noqa: PLR0124


_FOR_EVER = TopicConfig()
