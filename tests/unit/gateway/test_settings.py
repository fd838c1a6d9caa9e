"""The gateway's settings."""

import pytest
from atlas_gateway.settings import GatewaySettings


def test_its_own_settings_have_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_GATEWAY_BODY_MAX_BYTES", "2048")
    monkeypatch.setenv("ATLAS_GATEWAY_CORS_ORIGINS", '["https://app.example.org"]')
    settings = GatewaySettings()
    assert settings.gateway_body_max_bytes == 2048
    assert settings.gateway_cors_origins == ("https://app.example.org",)
    assert (settings.service, settings.http_port, settings.gateway_read_your_write_s) == ("gateway", 8080, 2.0)
