"""The outbox asked at its database, without a relay: also what choked a relay can be seen, sent again and discarded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from atlas_outbox import parking
from atlas_outbox.parking import Choice
from atlas_outbox.pooled import options
from atlas_outbox.relaying.stats import read_stats

from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.output import CommandError

_TIMEOUT_S = 5.0


async def status(dsn: str) -> dict[str, Any]:
    """How the outbox stands. Raises CommandError when the database does not answer."""
    async with _connection(dsn) as connection:
        return (await read_stats(connection)).summary()


async def parked(dsn: str, *, topic: str | None, waiting: bool, limit: int) -> list[dict[str, Any]]:
    """The first parked rows. Raises CommandError."""
    async with _connection(dsn) as connection:
        rows = await parking.list_parked(connection, after=0, topic=topic, waiting=waiting, limit=limit)
    return [row.shown() for row in rows]


async def change(dsn: str, chosen: dict[str, Any], *, discard: bool) -> int:
    """Send the chosen rows again, or discard them; how many they are. Raises CommandError."""
    choice = Choice(ids=chosen.get("ids"), topic=chosen.get("topic"))
    async with _connection(dsn) as connection:
        return await (parking.discard if discard else parking.retry)(connection, choice)


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    try:
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, **options({}))
    except (OSError, asyncpg.PostgresError) as error:
        raise CommandError(f"neither the relay nor its database answers: {error}; {START_IT}") from None
    try:
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise CommandError(f"the database refuses: {error}") from None
    finally:
        connection.terminate()
