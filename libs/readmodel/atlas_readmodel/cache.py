"""Rows in Redis, never older than what was already shown.

One Redis key a row holds either a value or a floor:

    V<epoch>:<offset>:<json>   the row as it was after the record at `offset`, read while the projection was at `epoch`
    F<offset>                  no value yet; only the row of the record at `offset` may be put here

The projector lays a floor on every key it is about to change, before it commits, so that a reader who fetched the row
before the commit can't put it back after. Offsets are compared for equality alone: those of two partitions, or of a
topic and the one made anew after it, say nothing about which came first, and the row of a key may come from any of
them (another client's partitioner, partitions added). What can't be told apart is a row that two records of the same
offset in two partitions made one after the other: a reader slower than the write may then put the first back, for
VALUE_TTL_S. A rise of the epoch (a swap, a rollback, floors that could not be laid) makes
every value of the projection a miss at once. Rows without a cache are right too: when Redis is away, reads go to
PostgreSQL and nothing is cached.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, cast

import orjson
from prometheus_client import Counter
from purgatory.domain.model import OpenedState
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from atlas_readmodel.columns.json_rows import dumps
from atlas_readmodel.spans import cache_said, reading

CACHE = Counter("atlas_readmodel_cache", "Uses of the read-model cache", ["projection", "outcome"])

# A value lives this long unread or unchanged. It bounds what a lost floor can do, and the memory.
VALUE_TTL_S = 60
# Longer than any reader may take between its SELECT and its put.
FLOOR_TTL_S = 60
# A cache slower than this is worse than the database behind it.
TIMEOUT_S = 0.25

_PUT = """
local epoch, offset = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = tonumber(redis.call('GET', KEYS[2]) or '-1')
if epoch < known then return 0 end
if epoch > known then redis.call('SET', KEYS[2], ARGV[1]) end
local held = redis.call('GET', KEYS[1])
if held then
  if string.sub(held, 1, 1) == 'F' then
    if tonumber(string.sub(held, 2)) ~= offset then return 0 end
  else
    local e, o = string.match(held, '^V(%d+):(%d+):')
    e, o = tonumber(e), tonumber(o)
    if e > epoch or (e == epoch and o ~= offset) then return 0 end
  end
end
redis.call('SET', KEYS[1], 'V' .. ARGV[1] .. ':' .. ARGV[2] .. ':' .. ARGV[3], 'EX', ARGV[4])
return 1
"""

# The keys come as one JSON object: as arguments of their own, packing them cost more than writing the rows.
_LAY = """
for key, offset in pairs(cjson.decode(ARGV[3])) do
  redis.call('SET', ARGV[2] .. key, 'F' .. string.format('%.0f', offset), 'EX', ARGV[1])
end
return 1
"""

_RAISE = """
local known = tonumber(redis.call('GET', KEYS[1]) or '-1')
if tonumber(ARGV[1]) > known then redis.call('SET', KEYS[1], ARGV[1]) end
return 1
"""


class Cache:
    """The rows of every cached projection. No method raises for a Redis that is away: see each one's answer.

    Databases that share a Redis need a `namespace` each. `breaker` (an async context manager that raises purgatory's
    OpenedState while open) keeps callers from waiting for a dead Redis again and again.
    """

    def __init__(
        self, redis: Redis, breaker: AbstractAsyncContextManager[Any] | None = None, *, namespace: str = "atlas"
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._breaker = breaker or nullcontext()
        self._put = redis.register_script(_PUT)
        self._lay = redis.register_script(_LAY)
        self._raise = redis.register_script(_RAISE)

    @property
    def connections(self) -> ConnectionPool:
        """The connections to Redis, to be looked at."""
        return self._redis.connection_pool

    async def get(self, projection: str, key: str) -> dict[str, Any] | None:
        """The cached row, or None: not there, outdated, or Redis is away."""
        with reading("redis", "MGET", f"cache.{projection}"):
            answer = await self._guarded(
                projection, self._redis.mget(self._epoch_key(projection), self._row_key(projection, key))
            )
            if answer is None:
                return None
            epoch, held = answer
            if epoch is None or held is None or held[:1] != b"V":
                self._said(projection, "miss")
                return None
            stamp, _, rest = held[1:].partition(b":")
            if int(stamp) < int(epoch):
                self._said(projection, "miss")
                return None
            self._said(projection, "hit")
        return cast(dict[str, Any], orjson.loads(rest[rest.index(b":") + 1 :]))

    async def put(self, projection: str, key: str, row: Mapping[str, Any], *, epoch: int, offset: int) -> bool:
        """Keep a row in JSON's forms, read with its projection's `epoch` from PostgreSQL; `offset` is the row's own.

        False if the row is known to be another one by now, or Redis is away.
        """
        keys = [self._row_key(projection, key), self._epoch_key(projection)]
        with reading("redis", "EVALSHA", f"cache.{projection}"):
            call = self._put(keys=keys, args=[epoch, offset, dumps(row), VALUE_TTL_S])
            return bool(await self._guarded(projection, call))

    async def lay_floors(self, projection: str, offsets: Mapping[str, int]) -> bool:
        """Bar all rows but those of these offsets, key by key. False if Redis is away: then the epoch has to rise."""
        if not offsets:
            return True
        with reading("redis", "EVALSHA", f"cache.{projection}"):
            call = self._lay(args=[FLOOR_TTL_S, self._row_key(projection, ""), orjson.dumps(offsets)])
            return await self._guarded(projection, call) is not None

    async def raise_epoch(self, projection: str, epoch: int) -> bool:
        """Make every value from before `epoch` a miss. False if Redis is away."""
        with reading("redis", "EVALSHA", f"cache.{projection}"):
            call = self._raise(keys=[self._epoch_key(projection)], args=[epoch])
            return await self._guarded(projection, call) is not None

    async def check(self) -> str | None:
        """None when Redis answers, else why not; asked whatever the breaker thinks."""
        try:
            await self._redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        return None

    async def _guarded(self, projection: str, call: Awaitable[Any]) -> Any:
        try:
            async with self._breaker:
                return await call
        except (RedisError, OSError, TimeoutError):
            self._said(projection, "error")
        except OpenedState:
            self._said(projection, "skipped")
            if hasattr(call, "close"):
                call.close()  # a coroutine that is dropped unawaited warns
        return None

    def _said(self, projection: str, outcome: str) -> None:
        CACHE.labels(projection, outcome).inc()
        cache_said(outcome)

    def _row_key(self, projection: str, key: str) -> str:
        return f"{self._namespace}:{projection}:row:{key}"

    def _epoch_key(self, projection: str) -> str:
        return f"{self._namespace}:{projection}:epoch"


@asynccontextmanager
async def open_cache(
    redis_url: str, breaker: AbstractAsyncContextManager[Any] | None = None, *, namespace: str = "atlas"
) -> AsyncIterator[Cache]:
    """A cache on the Redis at `redis_url`, which need not be up: connections are made when used."""
    redis = Redis.from_url(
        redis_url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    try:
        yield Cache(redis, breaker, namespace=namespace)
    finally:
        await redis.aclose()
