"""An event for each row that a table already has, beside live traffic, and each row once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atlas_outbox.relaying.session import Connection
from atlas_outbox.writer import OutboxRecord, append_many

# What a batch waits for a row that a writer holds, while it holds other rows itself.
_LOCK_TIMEOUT = "1s"
_KEY = "backfill_key"

_TABLE = "SELECT to_regclass($1)::text"
_PRIMARY_KEY = """
SELECT quote_ident(attname) AS name, format_type(atttypid, atttypmod) AS type
FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
WHERE indrelid = $1::text::regclass AND indisprimary ORDER BY array_position(indkey::int2[], attnum)
"""
_BEGIN = "INSERT INTO outbox.backfills (source, event_type) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_PROGRESS = "SELECT last_key, rows, finished_at FROM outbox.backfills WHERE source = $1 AND event_type = $2"
_ADVANCE = """
UPDATE outbox.backfills SET last_key = coalesce($3, last_key), rows = rows + $4,
    finished_at = CASE WHEN $5 THEN clock_timestamp() END
WHERE source = $1 AND event_type = $2
"""


class CannotBackfill(Exception):
    """There is no such table, or it has no primary key to walk along."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows of the table have their event, and whether that is all of them."""

    rows: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Backfill:
    """One table and event type. `step` until it says finished; after a stop or a crash the next one goes on.

    A cursor over the primary key is right here, unlike for the outbox: a row that becomes visible later was written
    while this ran, and its writer has appended its own event.
    """

    source: str
    event_type: str
    key: Sequence[tuple[str, str]]

    async def step(
        self, connection: Connection, rows_max: int, record_of: Callable[[Mapping[str, Any]], OutboxRecord]
    ) -> Progress:
        """In one transaction: 1. wait for another run; 2. lock the next rows; 3. append their events; 4. move on.

        The lock makes the outbox ids rise in commit order per entity, as a writer's does. Raises LockNotAvailableError
        when a writer holds one of the rows for long, and whatever `record_of` raises; nothing is written then.
        """
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            state = await connection.fetchrow(_PROGRESS + " FOR UPDATE", self.source, self.event_type)  # 1
            last_key = state["last_key"] if state is not None else None
            found = await connection.fetch(self._next(first=last_key is None), rows_max, *(last_key or ()))  # 2
            await append_many(connection, [record_of(row) for row in found])  # 3
            finished = len(found) < rows_max
            last = found[-1][_KEY] if found else None
            await connection.execute(_ADVANCE, self.source, self.event_type, last, len(found), finished)  # 4
        return await self.progress(connection)

    async def progress(self, connection: Connection) -> Progress:
        """How far it has come."""
        row = await connection.fetchrow(_PROGRESS, self.source, self.event_type)
        return Progress(row["rows"], row["finished_at"] is not None) if row is not None else Progress(0, False)

    def _next(self, *, first: bool) -> str:
        names = ", ".join(name for name, _type in self.key)
        texts = ", ".join(f"{name}::text" for name, _type in self.key)
        above = ", ".join(f"${place}::text::{kind}" for place, (_name, kind) in enumerate(self.key, 2))
        where = "" if first else f"WHERE ({names}) > ({above})"
        # Every name is the catalogue's own, quoted by it.
        return (
            f"SELECT source.*, ARRAY[{texts}] AS {_KEY} FROM {self.source} AS source {where} "  # nosec B608
            f"ORDER BY {names} LIMIT $1 FOR SHARE OF source"
        )


async def open_backfill(connection: Connection, table: str, event_type: str, *, anew: bool = False) -> Backfill:
    """The backfill of a table: a new one, or one begun earlier; `anew` forgets how far that came.

    Raises CannotBackfill.
    """
    source = await connection.fetchval(_TABLE, table)
    if source is None:
        raise CannotBackfill(f"there is no table {table!r}")
    key = [(row["name"], row["type"]) for row in await connection.fetch(_PRIMARY_KEY, source)]
    if not key:
        raise CannotBackfill(f"{source} has no primary key to walk along")
    if anew:
        forget = "DELETE FROM outbox.backfills WHERE source = $1 AND event_type = $2"
        await connection.execute(forget, source, event_type)
    await connection.execute(_BEGIN, source, event_type)
    return Backfill(source, event_type, key)
