"""Instances that were heard once. Pure: time comes in as an argument.

One heartbeat proves little, for anybody may have written it, or a thousand of them in one burst. A candidate is
confirmed by a second one that comes when the second is due.
"""

from collections import OrderedDict

from atlas_health_aggregator.judging.admission import Heartbeat

# The oldest makes room, so a flood of names costs this much memory and no more.
CANDIDATES_MAX = 1000
# The second heartbeat comes after this part of the interval, or the two were one burst.
CONFIRMED_AFTER_INTERVALS = 0.5
# A second heartbeat after this long is a first one.
FORGET_AFTER_S = 300.0


class Candidates:
    """Who was heard once, and when (a monotonic time in seconds)."""

    def __init__(self) -> None:
        self._first: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._first)

    def confirm(self, heartbeat: Heartbeat, now: float) -> bool:
        """Whether this heartbeat confirms an earlier one of its instance, which then is no candidate any more."""
        name = (heartbeat.service, heartbeat.instance)
        first = self._first.get(name)
        if heartbeat.leaving:
            self._first.pop(name, None)
            return False
        if first is None or now - first > FORGET_AFTER_S:
            self._first[name] = now
            self._first.move_to_end(name)
            if len(self._first) > CANDIDATES_MAX:
                self._first.popitem(last=False)
            return False
        if now - first < heartbeat.interval_ms / 1000 * CONFIRMED_AFTER_INTERVALS:
            return False
        del self._first[name]
        return True
