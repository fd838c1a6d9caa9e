"""The command's settings, and an archive for it to look at."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Record
from atlas_archive.store import S3Address, open_store
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_local.testing import Servers

from tests.contexts import SCHEMAS

IncarnationOf = Callable[[str], Awaitable[str]]
StoreSegments = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def address(servers: Servers, bucket: str) -> S3Address:
    return S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)


@pytest.fixture
def command_settings(servers: Servers, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands are run in a folder of the test's own, on these servers and this bucket, on a wide screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name, value in {
        "KAFKA_BROKERS": servers.kafka_brokers,
        "S3_ENDPOINT": servers.s3_endpoint,
        "S3_ACCESS_KEY": servers.s3_access_key,
        "S3_SECRET_KEY": servers.s3_secret_key,
        "S3_BUCKET": bucket,
        "SCHEMAS_DIR": str(SCHEMAS),
    }.items():
        monkeypatch.setenv(f"ATLAS_{name}", value)


@pytest.fixture
def incarnation_of(servers: Servers) -> IncarnationOf:
    """`await incarnation_of(topic)`: the topic's id."""

    async def ask(topic: str) -> str:
        client = AIOKafkaClient(bootstrap_servers=servers.kafka_brokers)
        await client.bootstrap()
        try:
            return (await topic_ids(client, [topic]))[topic]
        finally:
            await client.close()

    return ask


@pytest.fixture
def store_segments(address: S3Address) -> StoreSegments:
    """`await store_segments(path, records, size)`: archived in segments of so many; the keys of the data objects."""

    async def store(path: PartitionPath, records: Sequence[Record], size: int, log_start: int = 0) -> list[str]:
        keys = []
        async with open_store(address) as opened:
            for start in range(0, len(records), size):
                segment = Segment(path, records[start].offset, log_start, lambda _: None)
                segment.add([pack(records[start : start + size])])
                stored = await store_segment(opened, segment, "test")
                keys.append(stored.manifest.objects[0].key)
        return keys

    return store


async def _nothing() -> None:
    """The topic is still the one that was read."""
