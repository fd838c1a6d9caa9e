"""What a process says of itself: its version, how long its event loop is held up, what collecting garbage takes.

Memory, processor time, open files and the collector's runs come from the Python client's own collectors.
"""

import asyncio
import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version

from prometheus_client import REGISTRY, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

BUILD = Gauge(
    "atlas_build_info", "1, with the service, its version and its environment", ["service", "version", "environment"]
)
LOOP_LAG = Histogram(
    "atlas_event_loop_lag_seconds",
    "How late a timer of the event loop was, five of them a second: for so long nothing else was done",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

# A hold-up shorter than this is seen by chance, in proportion to its length; one timer costs some microseconds.
LOOK_EVERY_S = 0.2
_GENERATIONS = 3


def version_of(service: str) -> str:
    """The version of the service's distribution; 0 where that is not installed."""
    try:
        return distribution_version(f"atlas-{service}")
    except PackageNotFoundError:
        return "0"


@contextmanager
def observed(service: str, environment: str) -> Iterator[None]:
    """Within the block the running loop and the garbage collector are measured. Once a process."""
    BUILD.labels(service, version_of(service), environment).set(1)
    collections, lag = Collections(), LoopLag(asyncio.get_running_loop())
    gc.callbacks.append(collections.note)
    REGISTRY.register(collections)
    try:
        yield
    finally:
        REGISTRY.unregister(collections)
        gc.callbacks.remove(collections.note)
        lag.stop()


class LoopLag:
    """A timer that begins itself again, and notes how late it was."""

    def __init__(self, loop: asyncio.AbstractEventLoop, every_s: float = LOOK_EVERY_S) -> None:
        self._loop = loop
        self._every_s = every_s
        self._begin()

    def stop(self) -> None:
        """No more."""
        self._timer.cancel()

    def _begin(self) -> None:
        # Not the loop's own time: uvloop's stands still while a callback runs.
        self._due = time.perf_counter() + self._every_s
        self._timer = self._loop.call_later(self._every_s, self._look)

    def _look(self) -> None:
        LOOP_LAG.observe(max(0.0, time.perf_counter() - self._due))
        self._begin()


class Collections(Collector):
    """Adds up the time of garbage collections, by generation.

    In numbers of its own: a metric of the client has a lock, and garbage may be collected by whoever holds it.
    """

    def __init__(self) -> None:
        self._seconds = [0.0] * _GENERATIONS
        self._begun = 0.0

    def note(self, phase: str, info: dict[str, int]) -> None:
        """For gc.callbacks."""
        if phase == "start":
            self._begun = time.perf_counter()
        else:
            self._seconds[info["generation"]] += time.perf_counter() - self._begun

    def describe(self) -> Iterable[Metric]:
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "atlas_gc_seconds", "Time for which collecting garbage held up the process", labels=["generation"]
        )
        for generation, seconds in enumerate(self._seconds):
            family.add_metric([str(generation)], seconds)
        yield family
