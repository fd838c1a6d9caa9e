"""Settings: where they come from, what they default to, and that .env.sample documents each."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from atlas_runtime.settings import (
    ObjectStoreSettings,
    PostgresSettings,
    ReadModelSettings,
    ServiceSettings,
)
from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(path.name for path in ROOT.glob("*/*/atlas_*") if path.is_dir())


class Both(ServiceSettings, PostgresSettings, ReadModelSettings):
    service: str = "both"
    http_port: int = 0


@pytest.fixture(autouse=True)
def _no_dot_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ATLAS_POSTGRES_DSN", "ATLAS_READMODEL_DSN", "ATLAS_HTTP_PORT", "ATLAS_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)


def _settings_classes() -> list[type[BaseSettings]]:
    """Every settings class of every package of ours: they live in modules named settings."""
    modules = [
        importlib.import_module(f"{package}.settings")
        for package in PACKAGES
        if any(module.name == "settings" for module in pkgutil.iter_modules(importlib.import_module(package).__path__))
    ]
    values = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return [value for value in values if issubclass(value, BaseSettings) and value is not BaseSettings]


def test_env_sample_documents_every_setting() -> None:
    documented = set(re.findall(r"^#? ?ATLAS_([A-Z0-9_]+)=", (ROOT / ".env.sample").read_text(), re.MULTILINE))
    classes = _settings_classes()
    assert {ServiceSettings, ObjectStoreSettings} <= set(classes)
    missing = {
        f"ATLAS_{name.upper()} ({kind.__name__})"
        for kind in classes
        for name in kind.model_fields
        if name.upper() not in documented
    }
    assert not missing


def test_env_sample_documents_nothing_else() -> None:
    documented = set(re.findall(r"^#? ?ATLAS_([A-Z0-9_]+)=", (ROOT / ".env.sample").read_text(), re.MULTILINE))
    known = {name.upper() for kind in _settings_classes() for name in kind.model_fields}
    aliases = {
        str(alias).removeprefix("ATLAS_")
        for kind in _settings_classes()
        for field in kind.model_fields.values()
        if isinstance(field.validation_alias, AliasChoices)
        for alias in field.validation_alias.choices
    }
    assert documented <= known | aliases


def test_inheritance_is_at_most_two_deep() -> None:
    for kind in _settings_classes():
        depth = max(_depth(kind), 0)
        assert depth <= 2, kind


def _depth(kind: type) -> int:
    return 0 if kind is BaseSettings else 1 + max(_depth(b) for b in kind.__bases__ if issubclass(b, BaseSettings))


def test_read_model_database_is_the_entities_one_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Both(postgres_dsn="postgresql://a/x").readmodel_dsn.get_secret_value() == "postgresql://a/x"
    monkeypatch.setenv("ATLAS_POSTGRES_DSN", "postgresql://env/x")
    assert Both().readmodel_dsn.get_secret_value() == "postgresql://env/x"
    assert ReadModelSettings().readmodel_dsn.get_secret_value() == "postgresql://env/x"
    monkeypatch.setenv("ATLAS_READMODEL_DSN", "postgresql://other/x")
    assert Both().readmodel_dsn.get_secret_value() == "postgresql://other/x"
    assert Both().postgres_dsn.get_secret_value() == "postgresql://env/x"
    assert Both(readmodel_dsn="postgresql://kw/x").readmodel_dsn.get_secret_value() == "postgresql://kw/x"


def test_environment_wins_over_dot_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ATLAS_HTTP_PORT=1\nATLAS_LOG_LEVEL=ERROR\nUNRELATED=1\n")
    monkeypatch.setenv("ATLAS_HTTP_PORT", "2")
    settings = Both()
    assert (settings.http_port, settings.log_level) == (2, "ERROR")


def test_settings_are_frozen_and_hide_secrets() -> None:
    settings = Both(postgres_dsn="postgresql://u:hunter2@h/x")
    with pytest.raises(ValidationError):
        settings.http_port = 1
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError) as caught:
        Both(heartbeat_interval_s="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "log_format", "expected"),
    [("development", None, False), ("production", None, True), ("development", "json", True), ("x", "console", False)],
)
def test_json_logs_everywhere_but_in_development(environment: str, log_format: str | None, expected: bool) -> None:
    assert Both(environment=environment, log_format=log_format).json_logs is expected


def test_instances_of_one_host_have_names_of_their_own() -> None:
    assert Both().instance.endswith(str(__import__("os").getpid()))


def test_an_object_store_is_addressed_as_the_archive_takes_it() -> None:
    settings = ObjectStoreSettings(s3_endpoint="http://there", s3_bucket="b", s3_region="r")
    secrets = {"access_key": "atlas", "secret_key": "atlas-secret"}
    assert settings.s3_address() == {"bucket": "b", "endpoint": "http://there", "region": "r"} | secrets
