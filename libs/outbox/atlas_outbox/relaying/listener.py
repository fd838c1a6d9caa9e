"""Hearing the writers' nudges."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

from atlas_outbox.waker import CHANNEL


@asynccontextmanager
async def listening(dsn: str, on_nudge: Callable[[], None], on_lost: Callable[[], None]) -> AsyncIterator[None]:
    """Call `on_nudge` for each notification within the block, and `on_lost` once if the connection ends."""
    connection = await asyncpg.connect(dsn, timeout=5, server_settings={"application_name": "atlas-relay-listen"})
    try:
        connection.add_termination_listener(lambda _connection: on_lost())
        await connection.add_listener(CHANNEL, lambda *_args: on_nudge())
        yield
    finally:
        connection.terminate()
