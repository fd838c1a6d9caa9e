"""Canaries in metrics, and in the log when it changes how they fare."""

import structlog

from atlas_health_aggregator.canary import metrics
from atlas_health_aggregator.canary.journeys import STAGES

log = structlog.get_logger(__name__)


class Telling:
    """Told by Journeys. A line in the log at the first that does not come to a stage, and at the next that does."""

    def __init__(self) -> None:
        self._ill: set[tuple[str, str]] = set()
        self.reason: str | None = None  # how the gateway has answered last that did not do what it was asked for
        for way, stages in STAGES.items():
            for stage in stages:  # a counter that is born above zero has no increase
                metrics.STAGE_SECONDS.labels(way, stage)
                metrics.LOST.labels(way, stage)
                metrics.FAILED.labels(way, stage)

    def reached(self, way: str, stage: str, seconds: float) -> None:
        metrics.STAGE_SECONDS.labels(way, stage).observe(seconds)
        if (way, stage) in self._ill:
            self._ill.discard((way, stage))
            log.info("canaries come again", way=way, stage=stage, seconds=round(seconds, 3))

    def lost(self, way: str, stage: str) -> None:
        metrics.LOST.labels(way, stage).inc()
        self._say(way, stage, "canary lost")

    def failed(self, way: str, stage: str) -> None:
        metrics.FAILED.labels(way, stage).inc()
        self._say(way, stage, "canary failed", reason=self.reason)

    def _say(self, way: str, stage: str, what: str, **more: str | None) -> None:
        if (way, stage) not in self._ill:
            self._ill.add((way, stage))
            log.warning(what, way=way, stage=stage, **more)
