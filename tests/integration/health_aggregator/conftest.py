"""Topics, schemas and settings of one test, apart from every other's."""

import shutil
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_local.testing import MakeTopic, Servers

from tests.contexts import SCHEMAS

MakeSettings = Callable[..., HealthAggregatorSettings]


@pytest.fixture
def name() -> str:
    """A name of this test alone."""
    return f"test-{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def schemas(tmp_path: Path, make_topic: MakeTopic, name: str) -> Path:
    """A copy of the schemas folder whose health topics are this test's own, and made."""
    folder = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, folder)
    text = (folder / "topics.yaml").read_text()
    for topic in ("health.heartbeats", "health.events"):
        assert f"  {topic}:\n" in text
        text = text.replace(f"  {topic}:\n", f"  {name}.{topic}:\n")
        await make_topic(f"{name}.{topic}", partitions=1)
        await make_topic(f"{name}.{topic}.dlq", partitions=1)
    (folder / "topics.yaml").write_text(text)
    return folder


@pytest.fixture
def make_settings(servers: Servers, schemas: Path, name: str, free_port: int) -> MakeSettings:
    """Settings with heartbeats quick enough for a test: a silent service is down after 1.75 s."""

    def make(**changes: object) -> HealthAggregatorSettings:
        values: dict[str, object] = {
            "service": name,
            "instance": f"{name}-{uuid.uuid4().hex[:4]}",
            "http_port": free_port,
            "schemas_dir": schemas,
            "kafka_brokers": servers.kafka_brokers,
            "heartbeat_interval_s": 0.5,
            "health_lag_interval_s": 0.5,
            "health_lag_groups": f"{name}.*",
            "health_history_topic": f"{name}.health.lag-history",
            "health_ledger_interval_s": 0,
        }
        return HealthAggregatorSettings(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
