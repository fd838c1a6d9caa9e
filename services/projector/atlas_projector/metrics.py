"""What the projector counts; served at its /metrics."""

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from atlas_projection.fold import Folded

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
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
REBUILD_EVENTS = Gauge("atlas_projector_rebuild_events", "Events the running rebuild has handled", ["projection"])
REBUILD_REMAINING = Gauge("atlas_projector_rebuild_remaining", "Records before the running rebuild", ["projection"])


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
