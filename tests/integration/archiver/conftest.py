"""An archiver of a test's own: the service's own serve(), on its own topic and bucket."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from atlas_archive.store import S3Address, S3Store, open_store
from atlas_archiver.app import serve
from atlas_archiver.settings import ArchiverSettings
from atlas_contracts.folder import TOPICS, files_named
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_local.testing import Servers

from tests.contexts import SCHEMAS
from tests.declared import file_of

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Archivers:
    """Starts archivers on one bucket, with schemas folders that know one topic."""

    servers: Servers
    bucket: str
    folder: Path

    def on(self, servers: Servers, bucket: str) -> "Archivers":
        """The same on other servers."""
        return replace(self, servers=servers, bucket=bucket)

    def settings(self, topic: str, **changes: Any) -> ArchiverSettings:
        """Those of an archiver of `topic` alone, in a group of that name."""
        fields: dict[str, Any] = {
            "service": f"archiver-{topic}",
            "http_port": 0,
            "kafka_brokers": self.servers.kafka_brokers,
            "s3_endpoint": self.servers.s3_endpoint,
            "s3_region": self.servers.s3_region,
            "s3_access_key": self.servers.s3_access_key,
            "s3_secret_key": self.servers.s3_secret_key,
            "s3_bucket": self.bucket,
            "schemas_dir": self._schemas(topic),
            "archiver_segment_max_age_s": 0.3,
        }
        return ArchiverSettings(_env_file=None, **{**fields, **changes})

    @asynccontextmanager
    async def run(self, topic: str, **changes: Any) -> AsyncIterator[asyncio.Task[None]]:
        """serve() until the block ends; cancel the task inside it to have it die without a word."""
        stop = asyncio.Event()
        task = asyncio.create_task(serve(self.settings(topic, **changes), stop))
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=10)
            if not task.cancelled():
                task.result()

    def _schemas(self, topic: str) -> Path:
        folder = self.folder / topic
        if not folder.exists():
            shutil.copytree(SCHEMAS, folder)
            kept = {
                named: yaml.safe_load(file_of(folder, name).read_text())["topics"][name]
                for name, named in (("health.heartbeats", "health.heartbeats"), ("hauls.events", topic))
            }
            for file in files_named(folder, TOPICS):
                (folder / file).unlink()
            (folder / TOPICS).write_text(yaml.safe_dump({"topics": kept}))
        return folder


@pytest.fixture
def archivers(servers: Servers, bucket: str, tmp_path: Path) -> Archivers:
    return Archivers(servers, bucket, tmp_path)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.load(SCHEMAS)


@pytest.fixture
async def heartbeats(servers: Servers, registry: Registry) -> None:
    """The topic that every service beats on."""
    topic = registry.topics["health.heartbeats"]
    await ensure_topics(servers.kafka_brokers, [TopicSpec(topic.name, topic.partitions)])


@pytest.fixture
async def store(servers: Servers, bucket: str) -> AsyncIterator[S3Store]:
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key, servers.s3_region)
    async with open_store(address) as opened:
        yield opened
