"""What the projector counts; served at its /metrics."""

import time
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from atlas_projection.fold import Folded

    from atlas_projector.apply.pending import Pending

_QUERY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_BATCH = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000)

EVENTS = Counter(
    "atlas_projector_events",
    "Events by what became of them: applied, passed_over (no handler), repeated, reordered (applied once an earlier"
    " version had come), early (waits for one), rejected, behind (waits behind a rejected one)",
    ["projection", "outcome"],
)
PARKED = Gauge("atlas_projector_parked", "Records of this process's partitions that wait", ["projection"])
MISSING = Counter(
    "atlas_projector_missing_versions", "Entity versions that never came before a later one", ["projection"]
)
ROWS = Counter("atlas_projector_rows_written", "Rows written, after folding", ["projection"])
DEATHS = Gauge(
    "atlas_projector_deaths", "Processes that died at the position where this one began, one after the other",
    ["projection"],
)  # fmt: skip
FENCED = Counter("atlas_projector_fenced", "Times another writer had moved on, or a swap was noticed", ["projection"])
GENERATION = Gauge("atlas_projector_generation", "The live generation this process writes", ["projection"])
WRITE_SECONDS = Histogram(
    "atlas_projector_write_seconds",
    "Time of one transaction of rows and positions",
    ["projection"],
    buckets=_QUERY_S,
)
READ_SECONDS = Histogram(
    "atlas_projector_read_seconds",
    "Time to read the rows that a batch touches and that are not known",
    ["projection"],
    buckets=_QUERY_S,
)
BATCH_EVENTS = Histogram("atlas_projector_batch_events", "Events of one transaction", ["projection"], buckets=_BATCH)
BATCH_ROWS = Histogram("atlas_projector_batch_rows", "Rows of one transaction", ["projection"], buckets=_BATCH)
EVENT_AGE = Histogram(
    "atlas_projector_event_age_seconds",
    "From the timestamp of the oldest event of a transaction until readers could see its rows",
    ["projection"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86_400),
)
REBUILD_RUNNING = Gauge(
    "atlas_projector_rebuild_running", "1 while a rebuild of the projection runs here", ["projection"]
)
REBUILDS = Counter(
    "atlas_projector_rebuilds",
    "Rebuilds that have ended here, by how: done, failed, cancelled",
    ["projection", "outcome"],
)
REBUILD_EVENTS = Gauge("atlas_projector_rebuild_events", "Events the running rebuild has handled", ["projection"])
REBUILD_REMAINING = Gauge("atlas_projector_rebuild_remaining", "Records before the running rebuild", ["projection"])


class Written:
    """What is counted of each transaction of a projection."""

    def __init__(self, projection: str) -> None:
        self.seconds = WRITE_SECONDS.labels(projection)
        self._events, self._rows = BATCH_EVENTS.labels(projection), BATCH_ROWS.labels(projection)
        self._age = EVENT_AGE.labels(projection)

    def count(self, pending: "Pending") -> None:
        """It is committed."""
        self._events.observe(pending.events)
        self._rows.observe(len(pending.rows))
        if pending.oldest_ms is not None:
            self._age.observe(max(0.0, time.time() - pending.oldest_ms / 1000), pending.trace)


def count(name: str, folded: "Folded", poison: int = 0, passed_over: int = 0, behind: int = 0) -> None:
    """What became of some events; `poison`, `passed_over` and `behind` never reached the fold."""
    for outcome, number in (
        ("applied", folded.applied - folded.reordered),
        ("passed_over", passed_over),
        ("repeated", folded.repeated),
        ("reordered", folded.reordered),
        ("early", len(folded.early)),
        ("rejected", poison + len(folded.rejected)),
        ("behind", behind + len(folded.behind)),
    ):
        if number:
            EVENTS.labels(name, outcome).inc(number)
    MISSING.labels(name).inc(folded.missing)
    ROWS.labels(name).inc(len(folded.rows))
