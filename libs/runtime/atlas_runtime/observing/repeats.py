"""A line that comes again and again is held back, and how often it came is said when its window ends."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from structlog.typing import EventDict

AT_MOST = 20
WITHIN_S = 10.0
# Lines that are alike count as one kind. Of more kinds than this at once, the rest are all written.
KINDS_MAX = 1000
HELD_BACK = "held_back"


@dataclass(slots=True)
class _Window:
    """Of one kind: when it ends, how many were written, how many were not, and the last of those."""

    ends: float
    written: int = 1
    held: int = 0
    last: EventDict | None = None


class Repeats:
    """Decides for each line whether it is written. For one process; any thread may call it.

    Of lines of one kind `at_most` are written in `WITHIN_S`. When that time is over the last of the others is written
    too, with `held_back`: how many more there were like it. No timer runs while nothing is held back.
    """

    def __init__(
        self, tell: Callable[[EventDict], None], clock: Callable[[], float] = time.monotonic, kinds_max: int = KINDS_MAX
    ) -> None:
        """`tell` is called, on a thread of its own, with a line that was held back."""
        self._tell, self._clock, self._kinds_max = tell, clock, kinds_max
        self._lock = threading.Lock()
        # Windows are all of one length, so those that end first were put in first.
        self._windows: dict[Hashable, _Window] = {}
        self._timer: threading.Timer | None = None

    def take(self, kind: Hashable, line: EventDict, at_most: int = AT_MOST) -> bool:
        """Whether the line is to be written now."""
        with self._lock:
            now = self._clock()
            over = self._ended(now)
            window = self._windows.get(kind)
            if window is None:
                if len(self._windows) < self._kinds_max:
                    self._windows[kind] = _Window(now + WITHIN_S)
                taken = True
            elif window.written < at_most:
                window.written += 1
                taken = True
            else:
                window.held += 1
                window.last = dict(line)
                self._wake_at(window.ends - now)
                taken = False
        self._say(over)
        return taken

    def sweep(self) -> None:
        """Say what was held back in the windows that have ended."""
        with self._lock:
            now = self._clock()
            over = self._ended(now)
            self._timer = None
            left = [window.ends for window in self._windows.values() if window.held]
            if left:
                self._wake_at(left[0] - now)
        self._say(over)

    def close(self) -> None:
        """Say all that is held back; for the end of the process."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            over = [window for window in self._windows.values() if window.held]
            self._windows.clear()
        self._say(over)

    def _ended(self, now: float) -> list[_Window]:
        over = []
        while self._windows:
            kind, window = next(iter(self._windows.items()))
            if window.ends > now:
                break
            del self._windows[kind]
            if window.held:
                over.append(window)
        return over

    def _wake_at(self, in_s: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(max(0.01, in_s), self.sweep)
            self._timer.daemon = True
            self._timer.start()

    def _say(self, over: list[_Window]) -> None:
        for window in over:
            assert window.last is not None, "kept with the first that is held back"
            more = {HELD_BACK: window.held - 1} if window.held > 1 else {}
            self._tell({**window.last, **more})
