"""How far behind the live projector is while its projection is rebuilt beside it; and how long a rollback takes."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from atlas_archive.store import S3Address
from atlas_contracts.codec import Codec
from atlas_kafka.producing.producer import Delivery, open_producer, send_all
from atlas_local.ports import free_port
from atlas_local.serverset import Servers
from atlas_local.waiting import wait_until

from tests.bench.projector_load import ACCOUNTS, PARTITIONS, Load
from tests.bench.projector_rebuilds import live_at_the_end
from tests.bench.projector_runs import database, environment, projector

EVENTS_PER_S = 500
SEND_EVERY_S = 0.02
LOOK_EVERY_S = 0.02
REBUILD_S = 180
_POSITIONS = (
    "SELECT partition, next_offset FROM readmodel.positions JOIN readmodel.generations"
    " USING (projection, generation) WHERE projection = $1 AND state = 'live'"
)


@dataclass
class Lag:
    """Of each event: seconds from the moment Kafka had it until readers could see it."""

    waiting: dict[int, deque[tuple[int, float]]] = field(default_factory=dict)
    seen: list[float] = field(default_factory=list)

    def sent(self, partition: int, offset: int) -> None:
        """The event at `offset` is on the topic now."""
        self.waiting.setdefault(partition, deque()).append((offset, time.monotonic()))

    def durable(self, partition: int, next_offset: int) -> None:
        """Everything before `next_offset` can be read now."""
        waiting, now = self.waiting.get(partition, deque()), time.monotonic()
        while waiting and waiting[0][0] < next_offset:
            self.seen.append(now - waiting.popleft()[1])


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was measured in one rebuild: times in seconds."""

    largest_lag: float
    median_lag: float
    events_per_s: float
    rollback: float


async def lag_while_rebuilding(servers: Servers, codec: Codec, folder: Path, load: Load, address: S3Address) -> Rebuilt:
    """The service rebuilds a projection of `load` from the archive by two workers, while 500 events/s come in."""
    port = free_port()
    async with database(servers) as dsn, asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        await live_at_the_end(servers, pool, load, replace(ACCOUNTS, topics=(load.topic,)))
        env = environment(servers, dsn) | {
            "ATLAS_S3_ENDPOINT": servers.s3_endpoint,
            "ATLAS_S3_ACCESS_KEY": servers.s3_access_key,
            "ATLAS_S3_SECRET_KEY": servers.s3_secret_key,
            "ATLAS_S3_BUCKET": address.bucket,
        }
        async with projector(env, folder, load.topic, port) as running, aiohttp.ClientSession() as http:
            await wait_until("the projector to get its partitions", lambda: running.partitions == PARTITIONS, 60)
            url = f"http://127.0.0.1:{port}/projections/{ACCOUNTS.name}"
            async with _feeding(servers, codec, load, pool) as lag:
                # Before the first event is through, its connections are not open.
                await wait_until("events to be seen", lambda: len(lag.seen) >= EVENTS_PER_S, 30)
                lag.seen.clear()
                await _post(http, f"{url}/rebuild", 202)
                state = await _rebuilt(http, f"{url}/rebuild")
                until = len(lag.seen) + EVENTS_PER_S
                await wait_until("events after it to be seen", lambda: len(lag.seen) >= until, 30)
            began = time.perf_counter()
            await _post(http, f"{url}/rollback", 200)
            rollback = time.perf_counter() - began
    assert state["state"] == "done", state
    assert state["result"]["events"] >= load.events, state
    seen = sorted(lag.seen)
    return Rebuilt(seen[-1], seen[len(seen) // 2], state["result"]["events"] / state["result"]["seconds"], rollback)


async def _post(http: aiohttp.ClientSession, url: str, status: int) -> None:
    async with http.post(url) as response:
        assert response.status == status, await response.text()


async def _rebuilt(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    state: dict[str, Any] = {}

    async def ended() -> bool:
        nonlocal state
        await asyncio.sleep(LOOK_EVERY_S * 10)
        async with http.get(url) as response:
            state = await response.json()
        return bool(state["state"] != "running")

    await wait_until("the rebuild to end", ended, REBUILD_S)
    return state


@asynccontextmanager
async def _feeding(servers: Servers, codec: Codec, load: Load, pool: asyncpg.Pool) -> AsyncIterator[Lag]:
    """Events come in until the block ends; gives what is known of their lag."""
    lag = Lag()
    async with open_producer(servers.kafka_brokers, "bench-feed") as producer:
        records = list(replace(load, events=10_000).records(codec))
        choose = random.Random(11)

        async def feed() -> None:
            due = time.monotonic()
            while True:
                some = choose.sample(records, int(EVENTS_PER_S * SEND_EVERY_S))
                for result in await send_all(producer, some):
                    assert isinstance(result, Delivery), result
                    lag.sent(result.partition, result.offset)
                due += SEND_EVERY_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))

        async def look() -> None:
            while True:
                for row in await pool.fetch(_POSITIONS, ACCOUNTS.name):
                    lag.durable(row["partition"], row["next_offset"])
                await asyncio.sleep(LOOK_EVERY_S)

        feeding, looking = asyncio.create_task(feed()), asyncio.create_task(look())
        try:
            yield lag
        finally:
            feeding.cancel()
            looking.cancel()
            await asyncio.gather(feeding, looking, return_exceptions=True)
