"""Tells the relay that there are new rows, without making any writer wait for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

CHANNEL = "atlas_outbox"
# While commits come faster than this one notification stands for many; the relay is awake then anyway.
_GAP_S = 0.002
_RECONNECT_S = 1.0
# A transaction that notifies has an id, so its commit would wait for the disk although nothing is to be kept. In one
# message, and for the transaction alone: a pooler may lend another session to the next one.
_NOTIFY = f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}; COMMIT"
# asyncpg reports a connection that ends under a query in any of these ways.
_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Waker:
    """Sends at most one NOTIFY at a time, on a connection of its own.

    A NOTIFY inside the writer's transaction would make all committing writers queue on one global lock. A nudge that
    is lost (no connection, crash) costs latency only: the relay also looks by itself.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._wanted = asyncio.Event()

    def nudge(self) -> None:
        """Call it after a commit that appended rows. Never blocks and never fails."""
        self._wanted.set()

    async def run(self) -> None:
        """Send the nudges until cancelled; a broken connection is opened again."""
        while True:
            with suppress(*_LOST):
                await self._send_nudges()
            await asyncio.sleep(_RECONNECT_S)

    async def _send_nudges(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await connection.execute(_NOTIFY, timeout=5)
                await asyncio.sleep(_GAP_S)
        finally:
            connection.terminate()


@asynccontextmanager
async def open_waker(dsn: str) -> AsyncIterator[Waker]:
    """A running Waker, stopped on the way out. The database need not be there yet."""
    waker = Waker(dsn)
    task = asyncio.create_task(waker.run(), name="outbox-waker")
    try:
        yield waker
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
