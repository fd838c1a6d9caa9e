"""Rebuilds of the benchmark: the projector's own `rebuild`, from the topic and from the archive."""

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
from atlas_archive.chain.listing import partitions
from atlas_archive.chain.manifests import topics
from atlas_archive.store import ObjectStore, S3Address, open_store
from atlas_contracts.codec import Codec
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_local.serverset import Servers
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection
from atlas_projector.rebuilding.archived import open_source
from atlas_projector.rebuilding.rebuild import Options, Progress, rebuild
from atlas_projector.rebuilding.workers import Setup
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.writer import Writer
from atlas_readmodel.stores import Stores, open_redis
from atlas_readmodel.table import ReadModel

from tests.bench.projector_load import ACCOUNTS, PARTITIONS, Load
from tests.bench.projector_runs import RUN_S, Rate, database

SAMPLE_S = 0.1


@asynccontextmanager
async def archive(servers: Servers, folder: Path, load: Load) -> AsyncIterator[S3Address]:
    """A bucket into which the archiver has put the load's topic."""
    bucket = f"bench-{uuid.uuid4().hex[:8]}"
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key, servers.s3_region)
    env = {
        "ATLAS_SERVICE": f"archiver-{bucket}",
        "ATLAS_HTTP_PORT": "0",
        "ATLAS_SCHEMAS_DIR": str(folder),
        "ATLAS_KAFKA_BROKERS": servers.kafka_brokers,
        "ATLAS_S3_ENDPOINT": servers.s3_endpoint,
        "ATLAS_S3_ACCESS_KEY": servers.s3_access_key,
        "ATLAS_S3_SECRET_KEY": servers.s3_secret_key,
        "ATLAS_S3_BUCKET": bucket,
        "ATLAS_ARCHIVER_SEGMENT_MAX_AGE_S": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_archiver"), env={**os.environ, **env}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with open_store(address, create_bucket=True) as store:

            async def complete() -> bool:
                return await _archived(store, load.topic) >= load.events

            await wait_until(f"{load.events} records to be archived", complete, RUN_S)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _archived(store: ObjectStore, topic: str) -> int:
    found = [pair async for pair in topics(store) if pair[0] == topic]
    chains = [chain for pair in found for chain in (await partitions(store, *pair)).values()]
    return sum(manifest.records for chain in chains for manifest in chain)


async def rebuilt(servers: Servers, codec: Codec, folder: Path, load: Load, address: S3Address | None) -> Rate:
    """Rebuild up to the end of the topic by two workers: from the archive, or with none from the topic."""
    projection = replace(ACCOUNTS, topics=(load.topic,))
    async with (
        database(servers) as dsn,
        asyncpg.create_pool(dsn, min_size=1, max_size=8) as pool,
        open_redis(servers.redis_url) as redis,
        open_source(servers.kafka_brokers, projection.topics, "bench", address) as source,
    ):
        await live_at_the_end(servers, pool, load, replace(projection, version=0))
        setup = Setup(
            brokers=servers.kafka_brokers,
            dsn=dsn,
            schemas_dir=str(folder),
            archive=address,
            redis_url=servers.redis_url,
            projections="tests.bench.projector_load:PROJECTIONS",
        )
        peak = asyncio.create_task(_peak_mb())
        began = time.perf_counter()
        stores = Stores(pool, redis)
        built = await rebuild(projection, stores, codec, source, Progress(), Options(setup=setup))
        seconds = time.perf_counter() - began
        peak.cancel()
        assert built.progress.events == load.events, built.progress
    return Rate(load.events / seconds, _highest)


async def live_at_the_end(servers: Servers, pool: asyncpg.Pool, load: Load, projection: Projection) -> None:
    """Make a live generation, empty and at the end of the topic: what a new one has to reach."""
    older = projection.model
    assert isinstance(older, ReadModel)
    async with pool.acquire() as connection:
        await generations.ensure_live(connection, older)
    async with open_reader(servers.kafka_brokers, "bench") as reader:
        ends = {tp: end for tp, (_, end) in (await topic_ranges(reader, [load.topic])).items()}
    assert len(ends) == PARTITIONS
    await Writer(pool, older, 1).add_positions((tp.topic, tp.partition) for tp in ends)
    for tp, end in ends.items():
        await pool.execute("UPDATE readmodel.positions SET next_offset = $2 WHERE partition = $1", tp.partition, end)


_highest = 0.0


async def _peak_mb() -> None:
    global _highest  # noqa: PLW0603 - the largest of all rebuilds is what counts
    while True:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "atlas_projector.rebuilding.worker" in child.cmdline():
                    _highest = max(_highest, child.memory_info().rss / 1e6)
        await asyncio.sleep(SAMPLE_S)
