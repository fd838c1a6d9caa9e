"""The connections of real pools, as a scrape finds them."""

import asyncio

import asyncpg
import pytest
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until
from atlas_runtime.metrics import observe_pool, observe_redis
from prometheus_client import REGISTRY
from redis.asyncio import Redis

pytestmark = pytest.mark.integration


def _shown(pool: str) -> dict[str, float | None]:
    return {
        what: REGISTRY.get_sample_value(f"atlas_db_pool_{what}", {"pool": pool})
        for what in ("size", "max", "in_use", "waiting")
    }


async def test_who_waits_for_a_connection_is_counted(servers: Servers) -> None:
    async with asyncpg.create_pool(servers.postgres_dsn, min_size=0, max_size=1) as pool:
        observe_pool(pool, "real")
        assert _shown("real") == {"size": 0, "max": 1, "in_use": 0, "waiting": 0}
        connection = await pool.acquire()
        assert _shown("real") == {"size": 1, "max": 1, "in_use": 1, "waiting": 0}
        others = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(3)]
        await wait_until("three wait", lambda: _shown("real")["waiting"] == 3, 30)
        await pool.release(connection)
        assert await asyncio.gather(*others) == [1, 1, 1]
        assert _shown("real") == {"size": 1, "max": 1, "in_use": 0, "waiting": 0}


async def test_connections_to_redis_are_counted(servers: Servers) -> None:
    async with Redis.from_url(servers.redis_url, max_connections=7) as redis:
        observe_redis(redis.connection_pool, "real.redis")
        await redis.ping()
        shown = _shown("real.redis")
        assert (shown["size"], shown["max"], shown["in_use"]) == (1, 7, 0)
        blocked = asyncio.create_task(redis.blpop(["test.nothing-comes"], timeout=0.5))  # type: ignore[arg-type]
        await wait_until("one is in use", lambda: _shown("real.redis")["in_use"] == 1, 30)
        assert await blocked is None
