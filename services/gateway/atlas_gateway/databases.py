"""PostgreSQL for the gateway: pools whose every wait is bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog
from atlas_errors.backoff import retrying
from atlas_http.resources import Pool
from atlas_outbox.pooled import options
from atlas_runtime.metrics import observe_pool
from atlas_runtime.pooler import is_pooled

Init = Callable[[Any], Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT_S = 2.0
_IDLE_CONNECTIONS = 2
# The server gives up first, so that its error says why; the client's own bound is for a server that hangs.
_CLIENT_GRACE_S = 1.0


@asynccontextmanager
async def open_pool(
    dsn: str, name: str, *, max_size: int, timeout_s: float, stop: asyncio.Event, init: Init | None = None
) -> AsyncIterator[Pool]:
    """A pool of up to `max_size` connections; waits, backing off, for a server that is not up yet, until `stop`.

    A statement, and a wait for a lock, ends with an error after `timeout_s`. Where the DSN leads to a pooler, which is
    found out here, nothing is kept in the session, at the cost of each statement's preparation. `init` is awaited with
    each connection that is made.
    """
    milliseconds = str(int(timeout_s * 1000))
    bounds = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
    }

    async def start() -> Pool:
        pooled = await _leads_to_a_pooler(dsn)
        if pooled:
            log.info("postgres through a pooler", pool=name)
        application = {"application_name": f"atlas-gateway-{name}"}
        pool: Pool = await asyncpg.create_pool(
            dsn,
            min_size=min(_IDLE_CONNECTIONS, max_size),
            max_size=max_size,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=timeout_s + _CLIENT_GRACE_S,
            init=init,
            server_settings=application if pooled else application | bounds,
            **(options(bounds) if pooled else {}),
        )
        return pool

    pool = await retrying(start, what=f"postgres pool {name}", stop=stop)
    observe_pool(pool, name)
    try:
        yield pool
    finally:
        pool.terminate()


async def _leads_to_a_pooler(dsn: str) -> bool:
    connection = await asyncpg.connect(
        dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_CONNECT_TIMEOUT_S, statement_cache_size=0
    )
    try:
        return await is_pooled(connection)
    finally:
        connection.terminate()


async def check(pool: Pool) -> str | None:
    """None when the server answers; raises what is wrong otherwise."""
    async with pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection:
        await connection.execute("SELECT 1", timeout=1)
    return None
