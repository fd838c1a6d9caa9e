"""Where read models are kept: the store of each, on connections that all share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from atlas_readmodel.documents import DocumentModel, root
from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.pg_codecs import set_codecs
from atlas_readmodel.postgres.postgres_store import PostgresStore
from atlas_readmodel.redis.documents_store import DocumentsStore
from atlas_readmodel.store import Store
from atlas_readmodel.table import ReadModel

# For a write of some thousand rows, or a script that compares as many; a Redis that is away is noticed as soon.
REDIS_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Stores:
    """PostgreSQL, and Redis with the first part of the names in it: databases that share a Redis need one each."""

    pool: asyncpg.Pool
    redis: Redis
    namespace: str = "atlas"

    async def retire(self, name: str) -> list[str]:
        """Remove the read model of this name, wherever it is kept; gives its tables and keys. Nobody may run it."""
        async with self.pool.acquire() as connection:
            removed = await generations.retire(connection, name)
        redis: Any = self.redis
        keys = [key async for key in redis.scan_iter(match=f"{root(self.namespace, name)}*", count=1000)]
        for key in keys:
            await redis.unlink(key)
        return [*removed, *(key.decode(errors="replace") for key in keys)]

    @asynccontextmanager
    async def only_one(self, what: str) -> AsyncIterator[bool]:
        """Whether nobody else does this now, on this database, nor will within the block."""
        # A session's lock, so that it ends with this process however that ends.
        name = f"atlas {what}"
        async with self.pool.acquire() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", name):
                yield False
                return
            try:
                yield True
            finally:
                # The pool takes its connections back as they are: one that may still have the lock is not given back.
                try:
                    if not connection.is_closed():
                        await connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", name)
                except BaseException:
                    connection.terminate()
                    raise

    def of(self, model: ReadModel | DocumentModel) -> Store:
        """The store of this read model."""
        if isinstance(model, DocumentModel):
            return DocumentsStore(self.redis, model, namespace=self.namespace)
        return PostgresStore(self.pool, model)


async def nothing_to_reset(_connection: Any) -> None:
    """For a pool whose users leave nothing in a session: asyncpg's own reset is a round trip for each of them."""


@asynccontextmanager
async def open_stores(dsn: str, redis_url: str, namespace: str, *, max_size: int) -> AsyncIterator[Stores]:
    """Stores on connections of their own, made when used: neither server need be up yet."""
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        command_timeout=COMMAND_TIMEOUT_S,
        timeout=5,
        init=set_codecs,
        reset=nothing_to_reset,
    )
    async with open_redis(redis_url) as redis:
        await pool
        try:
            yield Stores(pool, redis, namespace)
        finally:
            # Not closed in order, which would wait for what is in flight to a server that may be away.
            pool.terminate()


@asynccontextmanager
async def open_redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client for read models, patient where the cache's is not; the server need not be up yet.

    It repeats nothing by itself: a write whose answer was lost may have happened.
    """
    redis = Redis.from_url(
        redis_url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    try:
        yield redis
    finally:
        await redis.aclose()
