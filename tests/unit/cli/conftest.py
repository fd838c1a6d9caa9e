"""Where commands are tried: folders of their own, beside no mesh."""

import os
import shutil
from pathlib import Path

import pytest
from atlas_cli.read_models import rebuilding
from atlas_cli.topics import producing

from tests.contexts import SCHEMAS


@pytest.fixture
def schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the mesh's schemas in a directory that is the working directory."""
    copy = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, copy)
    (tmp_path / ".atlas").mkdir()
    (tmp_path / ".atlas/mesh.env").touch()  # a mesh of the checkout, which may run, has schemas of its own
    monkeypatch.chdir(tmp_path)
    for name in ("ATLAS_SCHEMAS_DIR", "ATLAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    return copy


@pytest.fixture
def deserted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is elsewhere, no mesh, nobody behind any address, and no waiting for what will not come."""
    for name in [name for name in os.environ if name.startswith("ATLAS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ATLAS_KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("ATLAS_POSTGRES_DSN", "postgresql://atlas@127.0.0.1:1/atlas")
    monkeypatch.setenv("ATLAS_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("ATLAS_S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    point_at(monkeypatch, "http://127.0.0.1:1")
    monkeypatch.setattr(producing, "RETRY_FOR_S", 0.1)
    monkeypatch.setattr(rebuilding, "PATIENCE_S", 0.1)
    return tmp_path


def point_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Have every service answer at this address."""
    for name in ("GATEWAY", "RELAY", "PROJECTOR", "ARCHIVER", "HEALTH"):
        monkeypatch.setenv(f"ATLAS_{name}_URL", url)
