"""Names that look like settings and are none."""

import re
from pathlib import Path

import pytest
from atlas_gateway.settings import GatewaySettings
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_projector.settings import ProjectorSettings
from atlas_relay.settings import RelaySettings
from atlas_runtime.setting_names import describe_unknown, unknown_names
from pydantic_settings import BaseSettings

ROOT = Path(__file__).resolve().parents[3]
SERVICES = (GatewaySettings, RelaySettings, ProjectorSettings, HealthAggregatorSettings)
# Whatever anything of the repository reads or writes by name.
WRITTEN = re.compile(r"\bATLAS_[A-Z0-9_]*[A-Z0-9]\b")


def unknown(kind: type[BaseSettings], *names: str) -> dict[str, list[str]]:
    return unknown_names(kind, dict.fromkeys(names, "secret"), ())


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [
        (GatewaySettings, "ATLAS_GATEWAY_BODY_MAX_BYTE", "ATLAS_GATEWAY_BODY_MAX_BYTES"),
        (GatewaySettings, "atlas_gateway_body_max_byte", "ATLAS_GATEWAY_BODY_MAX_BYTES"),
        (RelaySettings, "ATLAS_RELAY_POL_S", "ATLAS_RELAY_POLL_S"),
        (RelaySettings, "ATLAS_KAFKA_BROKER", "ATLAS_KAFKA_BROKERS"),
        (HealthAggregatorSettings, "ATLAS_HEALTH_SERVICE", "ATLAS_HEALTH_SERVICES"),
        (ProjectorSettings, "ATLAS_READMODEL_DNS", "ATLAS_READMODEL_DSN"),
    ],
)
def test_a_slip_of_the_pen_is_named_with_what_is_near(kind: type[BaseSettings], name: str, near: str) -> None:
    found = unknown(kind, name)
    assert near in found[name.upper()]
    assert near in describe_unknown(name.upper(), found[name.upper()])


def test_what_is_near_nothing_is_named_alone() -> None:
    assert unknown(RelaySettings, "ATLAS_BOOKINGS_SEATS") == {"ATLAS_BOOKINGS_SEATS": []}
    assert describe_unknown("ATLAS_X", []) == "no setting is named ATLAS_X, so it has no effect"


@pytest.mark.parametrize("kind", SERVICES)
def test_what_others_read_is_theirs_to_name(kind: type[BaseSettings]) -> None:
    sample = WRITTEN.findall((ROOT / ".env.sample").read_text())
    compose = WRITTEN.findall((ROOT / "docker-compose.yml").read_text())
    mesh = WRITTEN.findall((ROOT / "infra/local/atlas_local/mesh.py").read_text())
    assert len(sample) > 50
    assert unknown(kind, *sample, *compose, *mesh, "ATLAS_TEST_S3_ENDPOINT", "ATLAS_HOME", "PATH", "XATLAS_Y") == {}


def test_the_cli_has_names_of_its_own() -> None:
    class Own(BaseSettings):
        service: str = "cli"
        batch_file_rows_max: int = 1

    assert list(unknown(Own, "ATLAS_BATCH_FILE_ROW_MAX", "ATLAS_GATEWAY_X")) == ["ATLAS_BATCH_FILE_ROW_MAX"]


def test_what_kubernetes_says_of_a_service_is_nobody_s_slip() -> None:
    given = {
        "ATLAS_RELAY_SERVICE_HOST": "10.0.0.1", "ATLAS_RELAY_SERVICE_PORT": "8081",
        "ATLAS_RELAY_SERVICE_PORT_HTTP": "8081", "ATLAS_RELAY_PORT": "tcp://10.0.0.1:8081",
        "ATLAS_RELAY_PORT_8081_TCP": "tcp://10.0.0.1:8081", "ATLAS_RELAY_PORT_8081_TCP_ADDR": "10.0.0.1",
        "ATLAS_RELAY_PORT_8081_TCP_PROTO": "tcp",
    }  # fmt: skip
    assert unknown_names(RelaySettings, given, ()) == {}


def test_files_are_looked_at_too(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    text = "# ATLAS_COMMENT=1\nATLAS_LOG_LEVELS=x\n  export ATLAS_HTTP_HOSTED = y\nOTHER=ATLAS_NO=1\n\xe9\n"
    file.write_text(text, "latin-1")
    found = unknown_names(RelaySettings, {}, (file, tmp_path / "none"))
    assert found.keys() == {"ATLAS_LOG_LEVELS", "ATLAS_HTTP_HOSTED"}
    assert found["ATLAS_LOG_LEVELS"] == ["ATLAS_LOG_LEVEL"]
