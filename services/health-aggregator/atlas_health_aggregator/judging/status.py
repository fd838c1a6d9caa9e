"""What becomes of a group in a partition, from a window of observations; no threshold says how much lag is too much.

Pure. What counts is what the group does about it: whether somebody reads, whether its offset moves while records wait,
whether it has read what was there a while ago, and whether the lag shrinks. Caught up is ok at once. Anything else is
said when two observations in a row say so: one that is odd changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations, takewhile
from statistics import median

# Observations of a window. Whose offset stands still for all of it, while records wait, is stalled.
WINDOW = 10
# As many are needed to see that nobody moves an offset of a group without members, which may be read without joining.
ENOUGH = 3
# Of a group that had members: so many without any.
AGREED = 2
# Observations for the trend of lag, the newest ones; of at least so many one that is odd does not turn it.
TREND = 6
TREND_MIN = 5
# A group that was behind is ok once it has read what was there so many observations ago.
LATELY = 3
# Who commits less often than the window is long is stalled after this many times as long as it took before; what took
# longer than CADENCE_MAX observations was no habit.
CADENCES = 2
CADENCE_MAX = 120


class Status(StrEnum):
    """What becomes of it, worst first."""

    STOPPED = "stopped"  # records wait and the group has no members
    STALLED = "stalled"  # it has members, records wait, and its offset stands still
    BLOCKED = "blocked"  # it waits behind an open transaction
    FALLING_BEHIND = "falling-behind"  # it reads, and the lag does not shrink
    CATCHING_UP = "catching-up"  # it reads, and the lag shrinks
    OK = "ok"  # it is caught up, or reads what comes as it comes, or waits on purpose


# Enough for any habit.
_WAITED_MAX = CADENCES * CADENCE_MAX
_STANDING = {Status.STOPPED, Status.STALLED, Status.BLOCKED}
_WORST_FIRST = list(Status)


@dataclass(frozen=True, slots=True)
class Observation:
    """A partition of a group at one moment.

    `committed` is -1 where there is nothing; before `read` nothing is unread, and `end` is the high watermark.
    `members` None: the brokers do not tell. `held`: what waits, waits on purpose. `fresh`: what waits is younger than
    a window is long, so all that was there when one would have begun has been read.
    """

    committed: int
    read: int
    end: int
    members: int | None
    blocked: bool = False
    held: bool = False
    fresh: bool = False

    @property
    def lag(self) -> int:
        """Records that wait."""
        return self.end - self.read


@dataclass(frozen=True, slots=True)
class Cadence:
    """For how many observations records have `waited` since the offset moved last, and did before its last two moves.

    0: not known. The shorter of the two is a habit: a stand-still that is over is none.
    """

    waited: int = 0
    last: int = 0
    earlier: int = 0

    def follow(self, before: Observation | None, now: Observation) -> "Cadence":
        """With one observation more."""
        if before is None or now.committed == before.committed:
            return Cadence(0 if now.lag == 0 else min(self.waited + 1, _WAITED_MAX), self.last, self.earlier)
        return Cadence(0 if now.lag == 0 else 1, min(self.waited, CADENCE_MAX), self.last)

    @property
    def is_over(self) -> bool:
        """Whether records have waited for longer than this group's habit explains."""
        habit = min(self.last, self.earlier) if self.last and self.earlier else max(self.last, self.earlier)
        return self.waited >= CADENCES * habit


NO_HABIT = Cadence()


@dataclass(frozen=True, slots=True)
class Track:
    """What was observed, oldest first, and the status by it: None as long as it can't be said.

    `candidate` is what the newest observation alone would make of it; `cadence`: how often it commits.
    """

    window: tuple[Observation, ...] = ()
    status: Status | None = None
    candidate: Status | None = None
    cadence: Cadence = NO_HABIT

    def follow(self, now: Observation) -> "Track":
        """With one observation more."""
        cadence = self.cadence.follow(self.window[-1] if self.window else None, now)
        window = _extended(self.window, now)
        if now.lag == 0:
            return Track(window, Status.OK, None, cadence)
        found = status_of(window, self.status, cadence)
        if found is None or found is self.status:
            return Track(window, self.status, None, cadence)
        # Two observations or more are behind stopped already; what is fresh says it by itself.
        if found is self.candidate or found is Status.STOPPED or (self.status is None and found is Status.OK):
            return Track(window, found, None, cadence)
        return Track(window, self.status, found, cadence)


def status_of(window: Sequence[Observation], before: Status | None, cadence: Cadence = NO_HABIT) -> Status | None:
    """The status by the observations alone, given what it was; None: they say nothing new."""
    newest = window[-1]
    if newest.lag == 0 or newest.held:
        return Status.OK
    if newest.members == 0 and (stopped := _stopped(window)) is not None:
        return Status.STOPPED if stopped else None
    if newest.blocked and newest.members != 0:
        return Status.BLOCKED
    is_fresh = before is None and newest.fresh and newest.members != 0
    if is_fresh or len(window) < ENOUGH:
        return Status.OK if is_fresh else None
    if sum(each.committed == newest.committed for each in window) >= len(window) - 1:
        waiting = len(window) == WINDOW and sum(each.lag > 0 for each in window) >= WINDOW - 1
        return Status.STALLED if waiting and cadence.is_over else None
    return Status.OK if newest.read >= _end_to_have_read(window, before) else _trend(window, before)


def _trend(window: Sequence[Observation], before: Status | None) -> Status | None:
    """Of who reads and is behind. Who stood still is judged by what it has done since."""
    part, enough = (_since_standing(window), ENOUGH) if before in _STANDING else (window[-TREND:], TREND_MIN)
    if len(part) < enough:
        return None
    return Status.CATCHING_UP if _slope([each.lag for each in part]) < 0 else Status.FALLING_BEHIND


def worst(statuses: Sequence[Status | None]) -> Status | None:
    """Of several partitions; None when none is bad and of one nothing can be said."""
    known = [status for status in statuses if status is not None]
    found = min(known, key=_WORST_FIRST.index, default=None)
    return None if found is Status.OK and len(known) < len(statuses) else found


def _extended(window: tuple[Observation, ...], now: Observation) -> tuple[Observation, ...]:
    """An offset that goes back begins a new window, unless it comes forward again at once: that one was odd, and is
    taken for where it stood before.
    """
    if len(window) > 1 and window[-1].committed < window[-2].committed:
        if now.committed >= window[-2].committed:
            stood = replace(window[-1], committed=window[-2].committed, read=min(window[-2].read, window[-1].end))
            window = (*window[:-1], stood)
        else:
            window = window[-1:]
    return (*window, now)[-WINDOW:]


def _stopped(window: Sequence[Observation]) -> bool | None:
    """Whether a group without members is read by nobody; None when somebody commits for it without joining."""
    alone = _last(window, lambda each: each.members == 0)
    still = _last(alone, lambda each: each.committed == alone[-1].committed)
    if len(still) < len(alone):
        return True if len(still) >= WINDOW // 2 else None
    with_members = sum(each.members != 0 for each in window)
    # Who had members is stopped once they are gone; one odd observation of some is no sign that there were.
    enough = ENOUGH if with_members == 0 else WINDOW // 2 if with_members == 1 else AGREED
    return len(alone) >= enough


def _last(window: Sequence[Observation], these: Callable[[Observation], bool]) -> Sequence[Observation]:
    """The newest ones that are such without a gap."""
    return window[len(window) - sum(1 for _ in takewhile(these, reversed(window))) :]


def _end_to_have_read(window: Sequence[Observation], before: Status | None) -> float:
    """Whoever is ok stays so while it has read what was there when the window began, one odd observation aside."""
    if before is Status.OK:
        return median(each.end for each in window[:3])
    return window[-min(LATELY, len(window))].end


def _since_standing(window: Sequence[Observation]) -> Sequence[Observation]:
    """From the last observation on before the offset moved again."""
    for at in range(len(window) - 1, 0, -1):
        if window[at].committed == window[at - 1].committed:
            return window[at:]
    return window


def _slope(values: Sequence[int]) -> float:
    """Theil-Sen: the median of the slopes between any two."""
    return median((y - x) / (j - i) for (i, x), (j, y) in combinations(enumerate(values), 2))
