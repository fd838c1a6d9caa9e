"""One run of the archiver, or of the consumer it is compared with, over a topic that is full already."""

import asyncio
import os
import re
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_archive.chain.listing import partitions
from atlas_archive.chain.manifests import Manifest, topics
from atlas_archive.store import ObjectStore, S3Address, open_store
from atlas_local.ports import free_port
from atlas_local.serverset import Servers
from atlas_local.waiting import wait_until

from tests.bench.archive_load import PARTITIONS, Load
from tests.bench.assigned import service
from tests.bench.machine import Others, Usage

RUN_S = 180
ASK_EVERY_S = 0.25  # each answer takes an archiver two milliseconds
_TAKEN = re.compile(r"^atlas_kafka_records_in_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rate:
    """What one run came to: memory of the largest process, CPU of all and bytes stored, these two a record.

    `others_cores`: see machine.Others.
    """

    records_per_s: float
    rss_mb: float = 0.0
    cpu_us: float = 0.0
    stored_bytes: float = 0.0
    others_cores: float = 0.0


async def consume(servers: Servers, load: Load) -> Rate:
    """Read the whole topic with one consumer and drop the records."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers.kafka_brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=2 * 1024 * 1024,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(load.topic, partition) for partition in range(PARTITIONS)])
        started, left = time.perf_counter(), load.records
        async with asyncio.timeout(RUN_S):
            while left:
                left -= sum(map(len, (await consumer.getmany(timeout_ms=250, max_records=5000)).values()))
        return Rate(load.records / (time.perf_counter() - started))
    finally:
        await consumer.stop()


async def archive(servers: Servers, load: Load, folder: Path, *, processes: int) -> Rate:
    """Archive the whole topic; once all of it has been taken, the service is stopped, which archives what it holds.

    Of several processes, the time begins when all of them have their partitions.
    """
    bucket = f"bench-{uuid.uuid4().hex[:8]}"
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key, servers.s3_region)
    async with open_store(address, create_bucket=True) as store:
        async with AsyncExitStack() as stack:
            others = stack.enter_context(Others())
            env = archiver_env(servers, folder / load.topic, bucket)
            ports = [free_port() for _ in range(processes)]
            envs = [{**env, "ATLAS_HTTP_PORT": str(port)} for port in ports]
            started = [await stack.enter_async_context(service("-m", "atlas_archiver", env=each)) for each in envs]
            usages = [await stack.enter_async_context(Usage(archiver.process.pid)) for archiver in started]
            share = PARTITIONS // processes
            await wait_until(
                "every archiver to get its partitions",
                lambda: all(archiver.partitions == share for archiver in started),
                30,
            )

            async def taken() -> bool:
                await asyncio.sleep(ASK_EVERY_S)
                return sum([await _taken(port) for port in ports]) >= load.records

            await wait_until(f"{load.records} records of {load.topic} to be taken", taken, RUN_S)
        began_at = max(archiver.assigned_at for archiver in started)
        found = await _manifests(store, load.topic)
    assert sum(manifest.records for manifest in found) == load.records, "the archivers stopped before all was archived"
    # What a lone archiver had stored before the others joined is not counted.
    timed = [manifest for manifest in found if _written(manifest) > began_at]
    if not timed:  # or all of it, before they joined
        timed, began_at = found, min(archiver.assigned_at for archiver in started)
    seconds = max(map(_written, timed)) - began_at
    records = sum(manifest.records for manifest in timed)
    cpu = sum(usage.cpu_s for usage in usages)
    stored = sum(manifest.size for manifest in found) / load.records
    return Rate(
        records / seconds, max(usage.peak_mb for usage in usages), 1e6 * cpu / load.records, stored, others.cores
    )


async def _manifests(store: ObjectStore, topic: str) -> list[Manifest]:
    found = [pair async for pair in topics(store) if pair[0] == topic]
    return [manifest for pair in found for chain in (await partitions(store, *pair)).values() for manifest in chain]


def _written(manifest: Manifest) -> float:
    return datetime.fromisoformat(manifest.written_at).timestamp()


async def _taken(port: int) -> float:
    """How many records an archiver has taken from its topic, by its own metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        text = await response.text()
    return sum(float(value) for value in _TAKEN.findall(text))


def archiver_env(servers: Servers, schemas: Path, bucket: str, **settings: str) -> dict[str, str]:
    """The environment of an archiver on these servers alone; `settings` are its own, without ATLAS_ARCHIVER_."""
    ours = {
        "ATLAS_SERVICE": f"archiver-{bucket}",
        "ATLAS_HTTP_PORT": "0",
        "ATLAS_LOG_FORMAT": "json",
        "ATLAS_SCHEMAS_DIR": str(schemas),
        "ATLAS_KAFKA_BROKERS": servers.kafka_brokers,
        "ATLAS_S3_ENDPOINT": servers.s3_endpoint,
        "ATLAS_S3_REGION": servers.s3_region,
        "ATLAS_S3_ACCESS_KEY": servers.s3_access_key,
        "ATLAS_S3_SECRET_KEY": servers.s3_secret_key,
        "ATLAS_S3_BUCKET": bucket,
        **{f"ATLAS_ARCHIVER_{name}": value for name, value in settings.items()},
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("ATLAS_")}, **ours}
