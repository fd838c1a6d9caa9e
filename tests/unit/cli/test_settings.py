"""Where the CLI looks for the mesh."""

import sys
from pathlib import Path

import pytest
from atlas_cli.settings import find_upward, load_settings
from atlas_cli.terminal.output import CommandError


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("ATLAS_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def home_of_the_command(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkout that the command is installed from: one where no mesh has run."""
    folder = tmp_path_factory.mktemp("installed")
    monkeypatch.setattr("atlas_local.home.ROOT", folder)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "topics.yaml").write_text("topics: {}\n")
    (tmp_path / "deep" / "inside").mkdir(parents=True)
    return tmp_path


def run_mesh(checkout: Path) -> None:
    (checkout / ".atlas").mkdir()
    (checkout / ".atlas" / "mesh.env").write_text(
        "ATLAS_GATEWAY_URL=http://127.0.0.1:4711\nATLAS_POSTGRES_DSN=postgresql://a:s3cret@127.0.0.1:4712/atlas\n"
    )


def test_without_a_mesh_the_ports_are_those_of_services_started_by_hand(checkout: Path) -> None:
    settings = load_settings(checkout)
    assert [
        url.rpartition(":")[2]
        for url in (
            settings.gateway_url,
            settings.relay_url,
            settings.projector_url,
            settings.archiver_url,
            settings.health_url,
        )
    ] == ["8080", "8081", "8082", "8083", "8084"]


def test_a_running_mesh_is_found_from_anywhere_inside_the_checkout(checkout: Path) -> None:
    run_mesh(checkout)
    settings = load_settings(checkout / "deep" / "inside")
    assert settings.gateway_url == "http://127.0.0.1:4711"
    assert settings.postgres_dsn.get_secret_value().endswith(":4712/atlas")
    assert settings.readmodel_dsn == settings.postgres_dsn
    assert settings.schemas_dir == checkout / "schemas"


def test_the_environment_wins_over_the_mesh_and_the_mesh_over_dotenv(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_mesh(checkout)
    (checkout / ".env").write_text("ATLAS_GATEWAY_URL=http://dotenv\nATLAS_RELAY_URL=http://dotenv\n")
    monkeypatch.setenv("ATLAS_HEALTH_URL", "http://environment")
    settings = load_settings(checkout / "deep")
    assert settings.gateway_url == "http://127.0.0.1:4711"
    assert settings.relay_url == "http://dotenv"
    assert settings.health_url == "http://environment"


def test_a_bad_setting_is_named_without_its_value(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_POSTGRES_POOL_MAX", "s3cret")
    with pytest.raises(CommandError, match="ATLAS_POSTGRES_POOL_MAX") as raised:
        load_settings(checkout)
    assert "s3cret" not in str(raised.value)


def test_a_list_that_is_no_json_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_CONTEXTS", "bookings")
    with pytest.raises(CommandError, match="settings: ATLAS_CONTEXTS: not JSON"):
        load_settings(checkout)


def test_nothing_upward_is_none(tmp_path: Path) -> None:
    assert find_upward(tmp_path, Path("no-such-file-anywhere")) is None


def test_a_name_that_is_no_setting_is_said_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_mesh(checkout)
    (checkout / ".env").write_text("ATLAS_S3_BUKET=secret\n")
    monkeypatch.setenv("ATLAS_KAFKA_BROKER", "secret:9092")
    load_settings(checkout)
    load_settings(checkout)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "no setting is named ATLAS_KAFKA_BROKER, so it has no effect; near: ATLAS_KAFKA_BROKERS",
        "no setting is named ATLAS_S3_BUKET, so it has no effect; near: ATLAS_S3_BUCKET",
    ]


def test_elsewhere_the_checkout_of_the_command_counts(tmp_path: Path, home_of_the_command: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.schemas_dir == home_of_the_command / "schemas"


def test_schemas_of_something_else_are_not_the_meshs(checkout: Path, home_of_the_command: Path) -> None:
    """Case 46: called from a folder that has `schemas` of its own, while the mesh of the command runs."""
    assert load_settings(checkout / "deep").schemas_dir == checkout / "schemas"
    run_mesh(home_of_the_command)
    settings = load_settings(checkout / "deep")
    assert settings.gateway_url == "http://127.0.0.1:4711"
    assert settings.schemas_dir == home_of_the_command / "schemas"
    run_mesh(checkout)
    assert load_settings(checkout / "deep").schemas_dir == checkout / "schemas", "a mesh of that folder's own"


def test_the_home_that_is_named_counts_from_anywhere(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_mesh(checkout)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mesh.env").write_text("ATLAS_GATEWAY_URL=http://other\nATLAS_SCHEMAS_DIR=/other/schemas\n")
    monkeypatch.setenv("ATLAS_HOME", str(other))
    for start in (checkout / "deep", tmp_path):
        settings = load_settings(start)
        assert (settings.gateway_url, str(settings.schemas_dir)) == ("http://other", "/other/schemas")


def test_without_the_embedded_mesh_the_addresses_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the image, which leaves infra/local out."""
    for name in ("atlas_local", "atlas_local.home"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of None raises ModuleNotFoundError
    monkeypatch.setenv("ATLAS_GATEWAY_URL", "http://gateway:8080")
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path / "other"))
    settings = load_settings(tmp_path)
    assert (settings.gateway_url, settings.schemas_dir) == ("http://gateway:8080", tmp_path / "schemas")
