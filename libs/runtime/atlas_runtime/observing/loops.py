"""What each loop of a process is doing, said by the loop itself as it goes: who is alive may still stand still.

    loop = health.loops.add("lane 0")
    while not stop.is_set():
        loop.waits("rows")
        rows = await claim()
        loop.does("send rows")
        await send(rows)
        loop.moved()

A loop that waits for somebody else may do so for as long as that takes. One that does something is stuck when it does
the same for longer than `within_s`: nothing that a loop does in one step takes so long.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# With a heartbeat each 2 s, what stands still is known within 15 s.
WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A loop at one moment. `since_s`: how long it has done what it is `doing`, which it may `wait` for.

    `progress_s`: how long ago something last came of it; None: nothing yet.
    """

    name: str
    doing: str
    waits: bool
    since_s: float
    progress_s: float | None
    stuck: bool

    @property
    def told(self) -> str:
        """Why it is stuck, in words."""
        return f"stuck: {self.doing} for {self.since_s:.0f} s"


class Loop:
    """One loop; from `Loops.add`. Each call is some hundred nanoseconds, so it may be made at every step."""

    def __init__(self, name: str, within_s: float = WITHIN_S, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._now = now
        self._within_s = within_s
        self._doing, self._waits, self._since = "start", True, now()
        self._moved_at: float | None = None

    def does(self, what: str) -> None:
        """It begins a step, which is over within a moment."""
        self._doing, self._waits, self._since = what, False, self._now()

    def waits(self, what: str) -> None:
        """It waits for this, however long that takes; said again while it is the same, it waits on."""
        if not self._waits or self._doing != what:
            self._doing, self._waits, self._since = what, True, self._now()

    def moved(self) -> None:
        """Something came of it."""
        self._moved_at = self._now()

    def standing(self) -> Standing:
        """As it is now."""
        now = self._now()
        since_s = now - self._since
        progress_s = None if self._moved_at is None else now - self._moved_at
        return Standing(
            self.name, self._doing, self._waits, since_s, progress_s, not self._waits and since_s > self._within_s
        )


class Loops:
    """The loops of one process, by name."""

    def __init__(self) -> None:
        self._loops: dict[str, Loop] = {}

    def add(self, name: str, within_s: float = WITHIN_S) -> Loop:
        """A loop that speaks for itself from now on; one of that name before it is forgotten."""
        self._loops[name] = loop = Loop(name, within_s)
        return loop

    def standing(self) -> list[Standing]:
        """All of them, by name."""
        return [self._loops[name].standing() for name in sorted(self._loops)]

    def stuck(self) -> dict[str, str]:
        """Those that are stuck, by name, and why that is thought."""
        return {each.name: each.told for each in self.standing() if each.stuck}


class LoopMetrics(Collector):
    """atlas_loop_* of a process, as of each scrape."""

    def __init__(self, loops: Loops) -> None:
        self._loops = loops

    def describe(self) -> Iterable[Metric]:
        """Nothing: the loops are known only as they begin."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """By loop: whether it is stuck, for how long it has done the same, how long ago something came of it."""
        stuck = GaugeMetricFamily("atlas_loop_stuck", "1 while a loop is stuck; 0 is good", labels=["loop"])
        since = GaugeMetricFamily(
            "atlas_loop_step_seconds", "For how long a loop has done, or waited for, the same", labels=["loop"]
        )
        progress = GaugeMetricFamily(
            "atlas_loop_progress_age_seconds", "How long ago something last came of a loop", labels=["loop"]
        )
        for each in self._loops.standing():
            stuck.add_metric([each.name], float(each.stuck))
            since.add_metric([each.name], each.since_s)
            if each.progress_s is not None:
                progress.add_metric([each.name], each.progress_s)
        yield from (metric for metric in (stuck, since, progress) if metric.samples)


def show(loops: Loops) -> Callable[[], None]:
    """Have /metrics show the loops; call what it gives to end that."""
    collector = LoopMetrics(loops)
    REGISTRY.register(collector)
    return lambda: REGISTRY.unregister(collector)
