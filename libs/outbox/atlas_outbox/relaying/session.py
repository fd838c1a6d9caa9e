"""The relay's connections to the outbox: set up so that one that hangs can't hold a lock or a plan that went stale."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

# One's own connection or one that a pool has lent. In quotes: asyncpg's classes take no arguments at run time.
Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 30.0

_SETTINGS = {
    "application_name": "atlas-relay",
    # A paused relay must not keep the row lock of its lease: the server ends a transaction that waits for its client.
    "idle_in_transaction_session_timeout": "3s",
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    # The table is empty one moment and has millions of rows the next, so its statistics are always wrong: the index
    # is the only plan that is never bad, and planning once is enough.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "work_mem": "32MB",
    # What must be on disk before it counts says so itself (see store.py).
    "synchronous_commit": "off",
}


@asynccontextmanager
async def open_session(dsn: str, **overrides: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """One connection for the relay's statements; `overrides` are server settings. Ended at once on the way out."""
    connection = await asyncpg.connect(
        dsn,
        timeout=_CONNECT_TIMEOUT_S,
        command_timeout=_COMMAND_TIMEOUT_S,
        server_settings={**_SETTINGS, **overrides},
    )
    try:
        yield connection
    finally:
        # close() would wait for an answer from a server that may be gone.
        connection.terminate()
