"""The status of every group and partition, round by round. Pure: time comes in as an argument."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atlas_health_aggregator.judging.columns import Lags
from atlas_health_aggregator.judging.lag_rows import LagState
from atlas_health_aggregator.judging.layout import Flags, Floats, Layout
from atlas_health_aggregator.judging.status import WINDOW, Status, worst
from atlas_health_aggregator.judging.windows import NONE, Codes, Seen, Windows, status_named

# Whoever asks for lag has a round taken: those that come much sooner than the next is due are no observations.
SOON = 0.8
_BLOCKED = list(LagState).index(LagState.BLOCKED)


@dataclass(frozen=True, slots=True)
class OnPurpose:
    """Who lags on purpose: groups that hold records for so many seconds, by the first word of their name, and groups
    whose whole name matches `late`, always.
    """

    held_s: Mapping[str, float]
    late: re.Pattern[str]

    def held(self, lags: Lags) -> Flags:
        """Of each row, whether what waits here, waits on purpose."""
        layout, members = lags.stands.layout, lags.stands.members
        late = np.array([self.late.fullmatch(name) is not None for name in layout.groups], np.bool_)
        most = np.array([self.held_s.get(name.partition(".")[0], np.nan) for name in layout.groups], np.float64)
        most[members == 0] = np.nan
        # A comparison with what is not a number is False.
        in_time = (lags.seconds <= most[layout.group]) & (lags.state != _BLOCKED)
        held: Flags = (late[layout.group] | in_time) & (lags.records > 0)
        return held


@dataclass(frozen=True)
class Judged:
    """Of each row: its status, and offsets a second in and out of it (NaN: not known yet)."""

    status: Codes
    rate_in: Floats
    rate_out: Floats


class Statuses:
    """Keeps what was observed of every partition of every group that there is."""

    def __init__(self, interval_s: float, on_purpose: OnPurpose) -> None:
        """`interval_s`: between two observations."""
        self._interval_s = interval_s
        self._on_purpose = on_purpose
        self._windows = Windows()
        self._at: float | None = None
        self._rates: tuple[Layout, Floats, Floats] | None = None

    def follow(self, lags: Lags, now: float) -> Judged:
        """What is to be said of every row; `now` is a monotonic time in seconds.

        What comes too soon after the last observation is none: it has the status of that one, and is ok if caught up.
        """
        layout = lags.stands.layout
        if self._at is None or now - self._at >= self._interval_s * SOON:
            self._at = now
            self._windows.follow(self._seen(lags, now))
            self._rates = (layout, *self._windows.rates())
        status = self._windows.status_now(layout, lags.records)
        if self._rates is None or self._rates[0] is not layout:
            unknown = np.full(len(layout), np.nan)
            return Judged(status, unknown, unknown)
        return Judged(status, *self._rates[1:])

    def _seen(self, lags: Lags, now: float) -> Seen:
        stands = lags.stands
        return Seen(
            layout=stands.layout,
            places=stands.places,
            committed=stands.committed,
            read=lags.read,
            members=stands.members,
            blocked=lags.state == _BLOCKED,
            held=self._on_purpose.held(lags),
            fresh=lags.seconds <= WINDOW * self._interval_s,
            at_s=now,
        )


def of_groups(layout: Layout, status: Codes) -> dict[str, Status | None]:
    """The status of each group: that of the worst of its partitions."""
    found: dict[str, Status | None] = {}
    bounds = np.flatnonzero(np.diff(layout.group, prepend=NONE))
    for name, codes in zip(layout.groups, np.split(status, bounds[1:]), strict=True):
        found[name] = worst([status_named(code) for code in np.unique(codes).tolist()])
    return found
