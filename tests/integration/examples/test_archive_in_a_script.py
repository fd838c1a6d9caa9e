"""What Atlas's archiver wrote of a topic, printed by a script for a range of time."""

import re
import shutil
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_archive.chain.listing import summaries
from atlas_archive.store import S3Address, open_store
from atlas_contracts.folder import LOCK, TOPICS
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.cluster.groups import open_reader
from atlas_local.home import ROOT
from atlas_local.supervising.processes import Command, Process
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until

from tests.bench.archive_runs import archiver_env

pytestmark = pytest.mark.integration

EARLIER, LATER = (300, 120, 80), (1000, 2000)


def schemas_of_the_mesh(folder: Path) -> Path:
    """The examples' folder beside Atlas's own, as a mesh would take it."""
    shutil.copytree(ROOT / "examples" / "schemas", folder)
    for name in (TOPICS, LOCK):
        shutil.copy(ROOT / "schemas" / name, folder / name)
    shutil.copytree(ROOT / "schemas" / "health", folder / "health")
    return folder


async def archived(servers: Servers, bucket: str, topic: str, schemas: Path, log: Path) -> None:
    """Have an archiver put all of the topic into the bucket."""
    await ensure_topics(servers.kafka_brokers, [TopicSpec("health.heartbeats", 1)])
    env = archiver_env(servers, schemas, bucket, SEGMENT_MAX_AGE_S="0.5")
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)
    process = Process.spawn(Command([sys.executable, "-m", "atlas_archiver"], env=env), log)
    try:
        async with open_reader(servers.kafka_brokers, "examples") as reader, open_store(address) as store:
            places = [TopicPartition(topic, number) for number in range(4)]
            ends = {place.partition: end for place, end in (await reader.end_offsets(places)).items() if end}

            async def is_whole() -> bool:
                return {each.partition: each.next_offset for each in await summaries(store, topic)} == ends

            await wait_until(f"the archive to have {topic}; the archiver's log is {log}", is_whole, 60)
        assert await process.stop() == 0
    finally:
        process.kill()


async def test_the_records_of_a_range_are_printed_and_no_others(
    servers: Servers,
    topic: str,
    bucket: str,
    add_items: Callable[..., Awaitable[None]],
    example: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    script, order_id = example("archive-in-a-script"), uuid.uuid4().hex
    began = datetime.now(UTC)
    await add_items(order_id, *EARLIER)
    schemas = schemas_of_the_mesh(tmp_path / "schemas")
    await archived(servers, bucket, topic, schemas, tmp_path / "archiver.log")
    between = datetime.now(UTC)
    await add_items(order_id, *LATER, first=len(EARLIER) + 1)
    await archived(servers, bucket, topic, schemas, tmp_path / "archiver.log")
    ended = datetime.now(UTC)

    async def printed(since: datetime, until: datetime) -> list[int]:
        before = len(script.log.read_text()) if script.log.exists() else 0
        said = await script.run(
            *("read_archive.py", bucket, topic, since.isoformat(), until.isoformat()),
            AWS_ENDPOINT_URL=servers.s3_endpoint,
            AWS_ACCESS_KEY_ID=servers.s3_access_key,
            AWS_SECRET_ACCESS_KEY=servers.s3_secret_key,
        )
        return [int(cents) for cents in re.findall(rf"\d+/\d+ \S+ {order_id} .*'cents': (\d+)", said[before:])]

    assert await printed(began, ended) == [*EARLIER, *LATER]
    assert await printed(began, between) == [*EARLIER]
    assert await printed(between, ended) == [*LATER]
