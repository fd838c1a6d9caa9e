"""One run of the projector, as it is shipped, over a topic that becomes readable at one moment."""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from atlas_contracts.codec import Codec
from atlas_local.serverset import Servers
from atlas_local.testing import database_url, migrate
from atlas_local.waiting import wait_until

from tests.bench.assigned import Assigned, service
from tests.bench.machine import Usage
from tests.bench.projector_load import PARTITIONS, Load, fill, make_topic

RUN_S = 180


@dataclass(frozen=True, slots=True)
class Rate:
    """What one run came to; memory is that of the largest process, CPU of all of them."""

    events_per_s: float
    rss_mb: float = 0.0
    cpu_us: float = 0.0


@asynccontextmanager
async def database(servers: Servers) -> AsyncIterator[str]:
    """The DSN of a migrated database of this run alone."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(servers.postgres_dsn)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        dsn = database_url(servers.postgres_dsn, name)
        await asyncio.to_thread(migrate, dsn)
        yield dsn
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def live(servers: Servers, codec: Codec, folder: Path, load: Load, processes: int) -> Rate:
    """Project a topic with so many processes, each of which has its partitions before the first record can be read."""
    await make_topic(servers.kafka_brokers, load.topic)
    async with database(servers) as dsn, AsyncExitStack() as stack:
        env = environment(servers, dsn)
        started = [await stack.enter_async_context(projector(env, folder, load.topic)) for _ in range(processes)]
        share = PARTITIONS // processes
        await wait_until(
            "every projector to get its partitions", lambda: all(each.partitions == share for each in started), 60
        )
        await fill(servers.kafka_brokers, load, codec)
        async with AsyncExitStack() as measuring:
            usages = [await measuring.enter_async_context(Usage(each.process.pid)) for each in started]
            seconds = await _until_durable(dsn, load.events)
        cpu = sum(usage.cpu_s for usage in usages)
    return Rate(load.events / seconds, max(usage.peak_mb for usage in usages), 1e6 * cpu / load.events)


async def _until_durable(dsn: str, events: int) -> float:
    """Seconds until every event is counted in the live generation's positions."""
    began = time.perf_counter()
    connection = await asyncpg.connect(dsn)
    statement = await connection.prepare("SELECT coalesce(sum(events), 0)::bigint FROM readmodel.positions")

    async def durable() -> bool:
        return bool(await statement.fetchval() >= events)

    try:
        await wait_until(f"{events} events to be durable", durable, RUN_S)
        return time.perf_counter() - began
    finally:
        await connection.close()


def projector(
    env: dict[str, str], folder: Path, topic: str, port: int = 0
) -> contextlib.AbstractAsyncContextManager[Assigned]:
    """The projector of the benchmark's one projection."""
    options = os.environ.get("BENCH_PYTHON", "").split()
    return service(*options, "-m", "tests.bench.projector_process", str(folder), topic, str(port), env=env)


def environment(servers: Servers, dsn: str) -> dict[str, str]:
    """Of a projector on these servers and this database."""
    ours = {
        "ATLAS_LOG_FORMAT": "json",
        "ATLAS_KAFKA_BROKERS": servers.kafka_brokers,
        "ATLAS_READMODEL_DSN": dsn,
        "ATLAS_REDIS_URL": servers.redis_url,
    }
    return {**os.environ, **ours}
