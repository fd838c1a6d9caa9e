"""The status of every row from its window of observations, a column at a time: `Track.follow` for all rows. Pure.

A test holds the two together. Rows that nothing waits for, or that stand as they stood, cost next to nothing. Ten
observations of each row are most of the memory, so they are 32 bits: of what is committed the lower ones, for within a
window no offset moves by more, and of lag at most two billion.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from atlas_health_aggregator.judging import status
from atlas_health_aggregator.judging.layout import NOWHERE, Flags, Floats, Ints, Layout, Places, carry
from atlas_health_aggregator.judging.status import ENOUGH, LATELY, TREND, TREND_MIN, WINDOW, Status

Codes = NDArray[np.int8]
Small = NDArray[np.int32]
_MOST = np.iinfo(np.int32).max
_ALL = list(Status)
NONE = -1
# In the order of Status.
_STOPPED, _STALLED, _BLOCKED, _BEHIND, _CATCHING_UP, _OK = range(len(_ALL))


def status_named(code: int) -> Status | None:
    """What a code stands for."""
    return None if code == NONE else _ALL[code]


@dataclass(frozen=True)
class Seen:
    """One round: as `Observation`, of every row. `members` are those of each group, -1 where it is not known."""

    layout: Layout
    places: Places
    committed: Ints
    read: Ints
    members: Small
    blocked: Flags
    held: Flags
    fresh: Flags
    at_s: float


class Windows:
    """What was observed of every row, newest last."""

    def __init__(self) -> None:
        self._layout = Layout()
        self._places = Places.of({}, {})
        self._committed: deque[Small] = deque(maxlen=WINDOW)
        self._lag: deque[Small] = deque(maxlen=WINDOW)
        # Of each place, and of each group.
        self._end: deque[Ints] = deque(maxlen=WINDOW)
        self._members: deque[Small] = deque(maxlen=WINDOW)
        self._at: deque[float] = deque(maxlen=WINDOW)
        self._length = np.zeros(0, np.int8)
        self._status, self._candidate = np.zeros(0, np.int8), np.zeros(0, np.int8)
        # Observations in a row that are the same in everything but how many records wait.
        self._alike = np.zeros(0, np.int8)
        self._held = self._blocked = np.zeros(0, np.bool_)
        self._waited, self._last, self._earlier = (np.zeros(0, np.int16) for _ in range(3))

    def follow(self, seen: Seen) -> None:
        """With one observation more of every row."""
        self._carry(seen)
        lag = np.minimum(seen.places.end[seen.layout.place] - seen.read, _MOST).astype(np.int32)
        committed = seen.committed.astype(np.int32)
        self._note_alike(seen, committed, lag)
        self._note_cadence(committed, lag)
        self._extend(seen, committed, lag)
        found = np.full(len(lag), NONE, np.int8)
        stands = (self._alike > WINDOW) & (self._status >= 0) & (self._status <= _BLOCKED)
        waiting = np.flatnonzero((lag > 0) & ~stands)
        if len(waiting):
            found[waiting] = self._found(seen, waiting)
        self._agree(lag, found)

    @property
    def status(self) -> Codes:
        """Of every row, after the last observation."""
        return self._status

    def status_now(self, layout: Layout, lag: Ints) -> Codes:
        """The status of rows of now, between two observations: that of the last one, and ok if caught up."""
        where = np.arange(len(layout)) if layout is self._layout else layout.carried(self._layout)
        return np.where(lag == 0, _OK, carry(self._status, where, NONE)).astype(np.int8)

    def rates(self) -> tuple[Floats, Floats]:
        """Offsets a second in and out of every row, over its window; NaN where there is but one observation."""
        rows = len(self._length)
        came, went = np.full(rows, np.nan), np.full(rows, np.nan)
        for length in np.unique(self._length):
            if length < 2 or (span_s := self._at[-1] - self._at[-length]) <= 0:
                continue
            these = np.flatnonzero(self._length == length)
            place = self._layout.place[these]
            risen = self._end[-1][place] - self._end[-length][place]
            came[these] = risen / span_s
            went[these] = (risen - self._lag[-1][these] + self._lag[-length][these]) / span_s
        return np.maximum(came, 0.0), np.maximum(went, 0.0)

    def _carry(self, seen: Seen) -> None:
        if seen.places is not self._places:
            where = seen.places.carried(self._places)
            if len(where) != len(self._places.end) or (where != np.arange(len(where))).any():
                self._end = deque((carry(each, where, 0) for each in self._end), WINDOW)  # type: ignore[misc]
            self._places = seen.places
        if seen.layout is self._layout:
            return
        where = seen.layout.carried(self._layout)
        number = {name: at for at, name in enumerate(self._layout.groups)}
        groups = np.array([number.get(name, NOWHERE) for name in seen.layout.groups], np.int64)
        self._members = deque((carry(each, groups, 0) for each in self._members), WINDOW)  # type: ignore[misc]
        self._committed = deque((carry(each, where, 0) for each in self._committed), WINDOW)  # type: ignore[misc]
        self._lag = deque((carry(each, where, 0) for each in self._lag), WINDOW)  # type: ignore[misc]
        self._held, self._blocked = (carry(each, where, 0) for each in (self._held, self._blocked))  # type: ignore[assignment]
        self._alike = carry(self._alike, where, 0)  # type: ignore[assignment]
        self._status, self._candidate = (carry(each, where, NONE) for each in (self._status, self._candidate))  # type: ignore[assignment]
        counts = (self._length, self._waited, self._last, self._earlier)
        self._length, self._waited, self._last, self._earlier = (carry(each, where, 0) for each in counts)  # type: ignore[assignment]
        self._layout = seen.layout

    def _note_alike(self, seen: Seen, committed: Small, lag: Small) -> None:
        if self._committed:
            alike = (self._committed[-1] == committed) & ((self._lag[-1] > 0) == (lag > 0))
            alike &= (self._held == seen.held) & (self._blocked == seen.blocked)
            alike &= (self._members[-1] == seen.members)[seen.layout.group]
            self._alike = np.where(alike, np.minimum(self._alike + 1, WINDOW + 1), 0).astype(np.int8)
        else:
            self._alike = np.zeros(len(committed), np.int8)
        self._held, self._blocked = seen.held, seen.blocked

    def _note_cadence(self, committed: Small, lag: Small) -> None:
        """`Cadence.follow`."""
        if not self._committed:
            self._waited = (lag > 0).astype(np.int16)
            return
        moved = (self._committed[-1] != committed) & (self._length > 0)
        habit = np.minimum(self._waited, status.CADENCE_MAX)
        self._earlier = np.where(moved, self._last, self._earlier)
        self._last = np.where(moved, habit, self._last)
        more = np.minimum(self._waited + 1, status.CADENCES * status.CADENCE_MAX)
        self._waited = np.where(lag == 0, 0, np.where(moved, 1, more)).astype(np.int16)

    def _extend(self, seen: Seen, committed: Small, lag: Small) -> None:
        """As Track's: an offset that goes back begins a new window, unless it comes forward again at once."""
        if len(self._committed) > 1:
            # What wraps around is told apart by the sign of the difference.
            back = (self._length > 1) & (self._committed[-1] - self._committed[-2] < 0)
            if back.any():
                odd = back & (committed - self._committed[-2] >= 0)
                risen = (self._end[-1] - self._end[-2])[seen.layout.place]
                stood = np.clip(self._lag[-2] + risen, 0, _MOST).astype(np.int32)
                self._committed[-1] = np.where(odd, self._committed[-2], self._committed[-1])
                self._lag[-1] = np.where(odd, stood, self._lag[-1])
                self._length = np.where(back & ~odd, 1, self._length).astype(np.int8)
        self._length = np.minimum(self._length + 1, WINDOW).astype(np.int8)
        self._committed.append(committed)
        self._lag.append(lag)
        self._end.append(seen.places.end)
        self._members.append(seen.members)
        self._at.append(seen.at_s)

    def _agree(self, lag: Small, found: Codes) -> None:
        """A new status is said when two observations in a row say so."""
        news = (found != NONE) & (found != self._status)
        at_once = (found == _STOPPED) | ((self._status == NONE) & (found == _OK))
        agreed = news & ((found == self._candidate) | at_once)
        self._candidate = np.where(news & ~agreed, found, NONE).astype(np.int8)
        self._status = np.where(agreed, found, self._status).astype(np.int8)
        caught_up = lag == 0
        self._status[caught_up], self._candidate[caught_up] = _OK, NONE

    def _found(self, seen: Seen, rows: Ints) -> Codes:
        """`status_of`, of rows where records wait."""
        found = np.full(len(rows), NONE, np.int8)
        for length in np.unique(self._length[rows]):
            these = np.flatnonzero(self._length[rows] == length)
            found[these] = _Part(self, seen, rows[these], int(length)).found()
        return found

    def columns(self, rows: Ints, length: int) -> tuple[list[Small], list[Small], list[Ints], list[Small]]:
        """Committed, lag, ends and members of rows with windows of this length, oldest first."""
        place, group = self._layout.place[rows], self._layout.group[rows]
        return (
            [each[rows] for each in list(self._committed)[-length:]],
            [each[rows] for each in list(self._lag)[-length:]],
            [each[place] for each in list(self._end)[-length:]],
            [each[group] for each in list(self._members)[-length:]],
        )

    def before(self, rows: Ints) -> Codes:
        """The status that rows had."""
        return self._status[rows]

    def habit_is_over(self, rows: Ints) -> Flags:
        """`Cadence.is_over`."""
        last, earlier = self._last[rows], self._earlier[rows]
        habit = np.where((last > 0) & (earlier > 0), np.minimum(last, earlier), np.maximum(last, earlier))
        return self._waited[rows] >= status.CADENCES * habit


class _Part:
    """Rows where records wait, whose windows are equally long."""

    def __init__(self, windows: Windows, seen: Seen, rows: Ints, length: int) -> None:
        self._windows, self._seen, self._rows, self._length = windows, seen, rows, length
        self._committed, self._lag, self._end, self._members = windows.columns(rows, length)
        self._before = windows.before(rows)

    def found(self) -> Codes:
        """The status by the observations alone; what is written later goes before what is written first."""
        seen, rows = self._seen, self._rows
        members = self._members[-1]
        found = np.full(len(rows), NONE, np.int8)
        same = np.sum([each == self._committed[-1] for each in self._committed], axis=0)
        standing = same >= self._length - 1
        moving = np.flatnonzero(~standing)
        if len(moving):
            found[moving] = self._moving(moving)
        if self._length == WINDOW:
            waiting = np.sum([lag > 0 for lag in self._lag], axis=0)
            found[standing & (waiting >= WINDOW - 1) & self._windows.habit_is_over(rows)] = _STALLED
        if self._length < ENOUGH:
            found[:] = NONE
        found[(self._before == NONE) & seen.fresh[rows] & (members != 0)] = _OK
        found[seen.blocked[rows] & (members != 0)] = _BLOCKED
        alone = members == 0
        if alone.any():
            stopped, nobody_knows = self._stopped()
            found[alone & ~nobody_knows] = NONE
            found[alone & stopped] = _STOPPED
        found[seen.held[rows]] = _OK
        return found

    def _moving(self, these: Ints) -> Codes:
        """Of who reads: ok, or by the trend."""
        found = np.full(len(these), NONE, np.int8)
        if self._length < ENOUGH:
            return found
        lately = self._end[-min(LATELY, self._length)][these]
        then = np.where(self._before[these] == _OK, np.median([end[these] for end in self._end[:3]], axis=0), lately)
        has_read = (self._end[-1] - self._lag[-1])[these] >= then
        found[has_read] = _OK
        found[~has_read] = self._trend(these[~has_read])
        return found

    def _trend(self, these: Ints) -> Codes:
        """Theil-Sen: the median of the slopes between any two. Who stood still is judged by what it has done since."""
        lags, committed = [lag[these] for lag in self._lag], [each[these] for each in self._committed]
        found = np.full(len(these), NONE, np.int8)
        stood = np.isin(self._before[these], (_STOPPED, _STALLED, _BLOCKED))
        moving = np.flatnonzero(~stood)
        if self._length >= TREND_MIN and len(moving):
            found[moving] = _direction([each[moving] for each in lags[-TREND:]])
        for row in np.flatnonzero(stood):
            newest = next(
                (at for at in range(self._length - 1, 0, -1) if committed[at][row] == committed[at - 1][row]),
                0,
            )
            if self._length - newest >= ENOUGH:
                found[row] = _direction([each[row : row + 1] for each in lags[newest:]])[0]
        return found

    def _stopped(self) -> tuple[Flags, Flags]:
        """Whether a group without members is read by nobody; and where somebody commits for it without joining."""
        rows = len(self._rows)
        alone, still = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        is_alone, is_still = np.ones(rows, np.bool_), np.ones(rows, np.bool_)
        for members, committed in zip(reversed(self._members), reversed(self._committed), strict=True):
            is_alone &= members == 0
            is_still &= is_alone & (committed == self._committed[-1])
            alone += is_alone
            still += is_still
        with_members = np.sum([members != 0 for members in self._members], axis=0)
        enough = np.where(with_members == 0, ENOUGH, np.where(with_members == 1, WINDOW // 2, status.AGREED))
        moved = still < alone
        return np.where(moved, still >= WINDOW // 2, alone >= enough), moved & (still < WINDOW // 2)


def _direction(lags: Sequence[Small]) -> Codes:
    slopes = [(lags[j] - lags[i].astype(np.int64)) / (j - i) for i, j in combinations(range(len(lags)), 2)]
    return np.where(np.median(slopes, axis=0) < 0, _CATCHING_UP, _BEHIND).astype(np.int8)
