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


def test_more_canaries_on_their_way_than_a_row_shows_are_refused() -> None:
    assert HealthAggregatorSettings(health_canary_interval_s=0.5).health_canary_visible_s == 30
    with pytest.raises(ValidationError, match=r"raise ATLAS_HEALTH_CANARY_INTERVAL_S to 1\.8"):
        HealthAggregatorSettings(health_canary_visible_s=200)


def test_to_the_archive_a_canary_has_the_age_of_a_segment_besides() -> None:
    within = HealthAggregatorSettings(archiver_segment_max_age_s=300, health_canary_archived_s=45).canary_within
    assert within["archived"] == 345
