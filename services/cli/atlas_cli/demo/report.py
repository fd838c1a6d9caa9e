"""What the demo measured and proved."""

from dataclasses import dataclass, field
from typing import Any

from atlas_runtime.demo import Check

DIFFERENCES_MAX = 20


@dataclass
class Report:
    """`as_json` is written to .atlas/demo.json; `sizes` is how much each context was asked to show."""

    sizes: dict[str, int]
    events: int = 0
    projected: int = 0
    archived: int = 0
    checks: list[Check] = field(default_factory=list)
    rebuilds: dict[str, dict[str, Any]] = field(default_factory=dict)
    lag_records: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    visible_ms: float | None = None
    peak_rss_mb: dict[str, float] = field(default_factory=dict)
    look: list[str] = field(default_factory=list)

    @property
    def mismatches(self) -> int:
        """How many things were not as they should be."""
        return sum(max(1, len(check.differences)) for check in self.checks if not check.holds)

    def as_json(self) -> dict[str, Any]:
        """Counts in records and rows, times in seconds and milliseconds, memory in MB; null where nothing was tried."""
        return {
            "events": self.events,
            "projected": self.projected,
            "archived": self.archived,
            "mismatches": self.mismatches,
            "rebuild_identical": all(made["identical"] for made in self.rebuilds.values()) if self.rebuilds else None,
            "lag_records": self.lag_records,
            "seconds_produce_to_projected": self.seconds.get("projected", 0.0),
            "seconds_produce_to_archived": self.seconds.get("archived", 0.0),
            "seconds": self.seconds,
            "contexts": self.sizes,
            "sent": self.sent,
            "visible_ms_median": self.visible_ms,
            "rebuilds": self.rebuilds,
            "peak_rss_mb": self.peak_rss_mb,
            "look": self.look,
            "checks": [
                {
                    "what": check.what,
                    "compared": check.compared,
                    "holds": check.holds,
                    "differences": list(check.differences)[:DIFFERENCES_MAX],
                }
                for check in self.checks
            ],
        }
