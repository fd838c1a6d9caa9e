"""What a process depends on, asked by any number of probes: one question at a time, whose answer stands a moment."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge, Histogram

from atlas_runtime.observing.safe_text import mask

Check = Callable[[], Awaitable[str | None]]

CHECK_TIMEOUT_S = 2.0  # a probe that hangs is as bad as one that fails; kubelet's own default is 1 s
# An answer serves whoever asks in this time: how many ask must not be felt by the servers that are asked about.
FRESH_S = 0.5
WINDOW_S = 300.0
# Of the window; who asks more often has an answer that stands.
_REMEMBERED = 600
# What failed so lately is worth knowing of, also when it answers again.
LATELY_S = 60.0
SLOW_S = 1.0

DEPENDENCY_UP = Gauge("atlas_dependency_up", "1 while a dependency answers as it should, else 0", ["dependency"])
DEPENDENCY_SECONDS = Histogram(
    "atlas_dependency_seconds",
    "Time that a dependency took to answer a probe",
    ["dependency"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2),
)


class Dependency:
    """One check and what came of it lately. `needed`: without it the process is not ready."""

    def __init__(self, name: str, check: Check, *, needed: bool = True) -> None:
        self.name = name
        self.needed = needed
        self._check = check
        self._asking: asyncio.Task[str | None] | None = None
        self._answered_at = -FRESH_S
        self._seconds: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self.reason: str | None = None
        self._failed_at: float | None = None
        self._failed_of = ""

    async def ask(self) -> str | None:
        """None when it is fine, else why not. To raise, or to be silent for 2 s, is a reason.

        Asked again before the answer is there, or within FRESH_S of it, the same answer.
        """
        if self._asking is None and time.monotonic() - self._answered_at < FRESH_S:
            return self.reason
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name=f"check {self.name}")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> str | None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                answer = await self._check()
        except TimeoutError:
            answer = f"no answer within {CHECK_TIMEOUT_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever a check raises is the answer
            answer = f"{type(error).__name__}: {error}"
        finally:
            self._asking = None
        self.reason = None if answer is None else mask(answer)
        self._note(begun, time.monotonic())
        return self.reason

    def _note(self, begun: float, ended: float) -> None:
        self._answered_at = ended
        self._seconds.append((ended, ended - begun))
        if self.reason is not None:
            self._failed_at, self._failed_of = ended, self.reason
        DEPENDENCY_UP.labels(self.name).set(self.reason is None)
        DEPENDENCY_SECONDS.labels(self.name).observe(ended - begun)

    @property
    def p99_s(self) -> float | None:
        """Of the answers of the last minutes; None before the first."""
        since = time.monotonic() - WINDOW_S
        lately = sorted(seconds for at, seconds in self._seconds if at >= since)
        return lately[min(len(lately) - 1, int(len(lately) * 0.99))] if lately else None

    def worry(self) -> str | None:
        """Why it is worth a look although the process is ready: failing and not needed, failed lately, or slow."""
        if self.reason is not None:
            return None if self.needed else self.reason
        if self._failed_at is not None and (ago := time.monotonic() - self._failed_at) < LATELY_S:
            return f"failed {ago:.0f} s ago: {self._failed_of}"
        p99 = self.p99_s
        return f"slow: {p99:.1f} s" if p99 is not None and p99 >= SLOW_S else None

    def detail(self) -> dict[str, object]:
        """What GET /health shows of it. Latencies in ms; null before the first answer."""
        p99, last = self.p99_s, self._seconds[-1][1] if self._seconds else None
        return {
            "state": "up" if self.reason is None else "down",
            "needed": self.needed,
            "last_ms": None if last is None else round(last * 1000, 1),
            "p99_ms": None if p99 is None else round(p99 * 1000, 1),
        }
