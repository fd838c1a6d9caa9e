# ruff: noqa: ASYNC109 - the signatures are those of asyncpg
"""Connections to PostgreSQL that work through a pooler in transaction mode, like PgBouncer, and without one.

Such a pooler lends a server's session for one transaction. So no statement stays prepared, no setting stays set, and a
statement outside a transaction, which asyncpg prepares and runs in two steps, might be prepared in one session and run
in another: each gets a transaction of its own.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg


class TransactionConnection(asyncpg.Connection):
    """Keeps nothing in the session. Settings are made with each BEGIN, in the same message."""

    __slots__ = ()
    settings = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """As asyncpg's; without arguments it is one message, which no pooler divides."""
        if args:
            async with self._pinned():
                return await super().execute(query, *args, timeout=timeout)
        begins = query.upper().startswith("BEGIN") and self.settings
        return await super().execute(f"{query};{self.settings}" if begins else query, timeout=timeout)

    async def executemany(self, command: str, args: Any, *, timeout: float | None = None) -> None:
        async with self._pinned():
            await super().executemany(command, args, timeout=timeout)

    async def fetch(
        self, query: str, *args: Any, timeout: float | None = None, record_class: type[asyncpg.Record] | None = None
    ) -> list[Any]:
        async with self._pinned():
            return await super().fetch(query, *args, timeout=timeout, record_class=record_class)

    async def fetchrow(
        self, query: str, *args: Any, timeout: float | None = None, record_class: type[asyncpg.Record] | None = None
    ) -> Any:
        async with self._pinned():
            return await super().fetchrow(query, *args, timeout=timeout, record_class=record_class)

    async def fetchval(self, query: str, *args: Any, column: int = 0, timeout: float | None = None) -> Any:
        async with self._pinned():
            return await super().fetchval(query, *args, column=column, timeout=timeout)

    def get_reset_query(self) -> str:
        """Nothing: there is nothing in the session, and the next one to be lent would be reset."""
        return ""

    @asynccontextmanager
    async def _pinned(self) -> AsyncIterator[None]:
        if self.is_in_transaction():
            yield
        else:
            async with self.transaction():
                yield


def options(settings: Mapping[str, str]) -> dict[str, Any]:
    """For asyncpg's connect or create_pool, when there is a pooler; `settings` hold in each transaction."""
    local = "".join(f" SET LOCAL {name} = '{value}';" for name, value in settings.items())
    made = type("PooledConnection", (TransactionConnection,), {"__slots__": (), "settings": local})
    return {"connection_class": made, "statement_cache_size": 0}
