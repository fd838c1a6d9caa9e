"""What asyncpg and redis-py do not say of their pools, read from their private parts: here and nowhere else.

Each attribute is held by a test on real pools; where a next version has it no more, that test fails.
"""

from typing import Any


def waiting(pool: Any) -> int:
    """Callers that wait for a connection of an `asyncpg.Pool`.

    It lends connections out of a queue of asyncio, which lists those who wait. 0 before the pool is open.
    """
    queue = getattr(pool, "_queue", None)
    return 0 if queue is None else sum(not getter.done() for getter in queue._getters)


def redis_in_use(pool: Any) -> int:
    """Connections of a ConnectionPool of redis-py that somebody has."""
    return len(pool._in_use_connections)


def redis_open(pool: Any) -> int:
    """Those and the ones that lie ready."""
    return len(pool._in_use_connections) + len(pool._available_connections)
