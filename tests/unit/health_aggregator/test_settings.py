"""Defaults the promises rest on."""

from pathlib import Path

import pytest
from atlas_health_aggregator.settings import HealthAggregatorSettings
from pydantic import ValidationError


def test_the_defaults_find_a_dead_service_well_within_15_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ATLAS_SERVICE", "ATLAS_HTTP_PORT", "ATLAS_HEARTBEAT_INTERVAL_S"):
        monkeypatch.delenv(name, raising=False)
    settings = HealthAggregatorSettings()
    assert (settings.service, settings.http_port) == ("health-aggregator", 8084)
    assert settings.heartbeat_interval_s * settings.health_down_after_intervals <= 8


def test_less_patience_than_one_interval_is_refused() -> None:
    with pytest.raises(ValidationError):
        HealthAggregatorSettings(health_down_after_intervals=0.5)
