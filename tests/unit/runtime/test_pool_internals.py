"""What is read of pools, before they are open and while they are used; tests/integration has the real ones."""

import asyncio
from types import SimpleNamespace

from atlas_runtime.pool_internals import redis_in_use, redis_open, waiting


async def test_who_waits_is_counted_and_who_has_given_up_is_not() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    pool = SimpleNamespace(_queue=queue)
    assert waiting(SimpleNamespace(_queue=None)) == waiting(pool) == 0
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    assert waiting(pool) == 2
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert waiting(pool) == 1
    queue.put_nowait(1)
    assert await second == 1
    assert waiting(pool) == 0


def test_connections_to_redis_are_those_in_use_and_those_ready() -> None:
    pool = SimpleNamespace(_in_use_connections={1}, _available_connections=[2, 3])
    assert (redis_in_use(pool), redis_open(pool)) == (1, 3)
