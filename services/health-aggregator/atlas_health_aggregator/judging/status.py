"""What becomes of a group in a partition, from a window of observations; no threshold says how much lag is too much.

Pure. What counts is what the group does about it: whether somebody reads, whether its offset moves while records wait,
whether it has read what was there a while ago, and whether the lag shrinks. Caught up is ok at once. Anything else is
said when two observations in a row say so: one that is odd changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


class Status(StrEnum):
    """What becomes of it, worst first."""

    STOPPED = "stopped"  # records wait and the group has no members
    STALLED = "stalled"  # it has members, records wait, and its offset stands still
    BLOCKED = "blocked"  # it waits behind an open transaction
    FALLING_BEHIND = "falling-behind"  # it reads, and the lag does not shrink
    CATCHING_UP = "catching-up"  # it reads, and the lag shrinks
    OK = "ok"  # it is caught up, or reads what comes as it comes, or waits on purpose


_STANDING = {Status.STOPPED, Status.STALLED, Status.BLOCKED}
_WORST_FIRST = list(Status)


@dataclass(frozen=True, slots=True)
class Observation:
    """A partition of a group at one moment.

    `committed` is -1 where there is nothing; before `read` nothing is unread, and `end` is the high watermark.
    `members` None: the brokers do not tell. `held`: what waits, waits on purpose.
    """

    committed: int
    read: int
    end: int
    members: int | None
    blocked: bool = False
    held: bool = False

    @property
    def lag(self) -> int:
        """Records that wait."""
        return self.end - self.read


@dataclass(frozen=True, slots=True)
class Track:
    """What was observed, oldest first, and the status by it: None as long as it can't be said.

    `candidate` is what the newest observation alone would make of it.
    """

    window: tuple[Observation, ...] = ()
    status: Status | None = None
    candidate: Status | None = None

    def follow(self, now: Observation) -> "Track":
        """With one observation more."""
        window = _extended(self.window, now)
        if now.lag == 0:
            return Track(window, Status.OK)
        found = status_of(window, self.status)
        if found is None or found is self.status:
            return Track(window, self.status)
        # Two observations or more are behind stopped already.
        if found is self.candidate or found is Status.STOPPED:
            return Track(window, found)
        return Track(window, self.status, found)


def status_of(window: Sequence[Observation], before: Status | None) -> Status | None:
    """The status by the observations alone, given what it was; None: they say nothing new."""
    newest = window[-1]
    if newest.lag == 0 or newest.held:
        return Status.OK
    if newest.members == 0 and (stopped := _stopped(window)) is not None:
        return Status.STOPPED if stopped else None
    if newest.blocked and newest.members != 0:
        return Status.BLOCKED
    if len(window) < ENOUGH:
        return None
    if sum(each.committed == newest.committed for each in window) >= len(window) - 1:
        waiting = sum(each.lag > 0 for each in window) >= WINDOW - 1
        return Status.STALLED if waiting and len(window) == WINDOW else None
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
    """An offset that goes back begins a new window, unless it comes forward again at once: that one was odd."""
    if len(window) > 1 and window[-1].committed < window[-2].committed:
        window = window[:-1] if now.committed >= window[-2].committed else window[-1:]
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
