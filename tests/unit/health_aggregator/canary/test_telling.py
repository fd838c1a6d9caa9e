"""Metrics and the log: each loss is counted, and said once until canaries come again."""

import pytest
from atlas_health_aggregator.canary.journeys import EVENT, STAGES, VISIBLE
from atlas_health_aggregator.canary.telling import Telling
from prometheus_client import REGISTRY
from structlog.testing import capture_logs


def value(name: str, way: str = EVENT, stage: str = VISIBLE) -> float:
    found = REGISTRY.get_sample_value(name, {"way": way, "stage": stage})
    assert found is not None
    return found


def test_every_series_is_there_before_anything_has_happened() -> None:
    Telling()
    for way, stages in STAGES.items():
        for stage in stages:
            for name in ("stage_seconds_count", "lost_total", "failed_total"):
                value(f"atlas_canary_{name}", way, stage)


def test_a_time_is_observed_in_seconds() -> None:
    before = value("atlas_canary_stage_seconds_sum")
    Telling().reached(EVENT, VISIBLE, 0.25)
    assert value("atlas_canary_stage_seconds_sum") == pytest.approx(before + 0.25)


def test_many_losses_are_one_line_until_canaries_come_again() -> None:
    telling, before = Telling(), value("atlas_canary_lost_total")
    with capture_logs() as lines:
        for _ in range(3):
            telling.lost(EVENT, VISIBLE)
        telling.reached(EVENT, VISIBLE, 1.0)
        telling.reached(EVENT, VISIBLE, 1.0)
        telling.lost(EVENT, VISIBLE)
    assert value("atlas_canary_lost_total") == before + 4
    assert [line["event"] for line in lines] == ["canary lost", "canaries come again", "canary lost"]


def test_a_failure_says_how_the_gateway_has_answered() -> None:
    telling, before = Telling(), value("atlas_canary_failed_total")
    telling.reason = "POST /health/canaries: 404 Not found"
    with capture_logs() as lines:
        telling.failed(EVENT, VISIBLE)
    assert value("atlas_canary_failed_total") == before + 1
    assert lines[0]["reason"] == "POST /health/canaries: 404 Not found"
