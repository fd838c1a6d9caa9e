"""What queries read: the live generation of each read model, through its view.

A view is replaced while readers run (a rebuild's swap); a statement prepared against the old one is prepared again, and
no reader sees an error or a mixture.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import asyncpg

from atlas_readmodel.cache import Cache
from atlas_readmodel.columns.json_rows import plain_row
from atlas_readmodel.pages import Filter, Page, Sort, after, ordered, paged, where
from atlas_readmodel.redis.documents_reader import DocumentsReader
from atlas_readmodel.spans import reading
from atlas_readmodel.table import SCHEMA
from atlas_readmodel.token import EntityVersion, RecordPosition, Token

# Around a query, given its name.
Timed = Callable[[str], AbstractContextManager[object]]

WAIT_FIRST_S = 0.003
WAIT_MAX_S = 0.05
# A view may be replaced once between any two attempts; twice in a row within one query does not happen.
ATTEMPTS = 3


class NotBuilt(Exception):
    """The projector has not made this read model yet; `projection` names it. Answer 503."""

    def __init__(self, projection: str) -> None:
        super().__init__(f"the read model {projection} is not built yet: the projector has not run on this database")
        self.projection = projection


class Reader:
    """Queries over the read models. Rows are dicts of the view's columns, on connections with `set_reading_codecs`; one
    that may come from the cache has JSON's forms of its values (atlas_readmodel.columns.json_rows).

    Every method raises NotBuilt while its read model does not exist, and asyncpg's error (for documents Redis') when
    the server that has it is away. `versioned`: of the read models whose rows carry their entity's version, the column
    that finds a row, with its type unless that is text (`booking_id uuid`); a token can wait for those. `timed` is
    put around each query of PostgreSQL, and gets its name: `bookings.row`, `bookings.page`, `bookings.rows`; those that
    look how far read models are have the name `readmodel.wait`.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        cache: Cache | None,
        documents: DocumentsReader | None = None,
        versioned: Mapping[str, str] | None = None,
        timed: Timed = nullcontext,
    ) -> None:
        self._pool = pool
        self._cache = cache
        self._documents = documents
        self._versioned = versioned or {}
        self._timed = timed

    async def row(self, projection: str, key: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any] | None:
        """The row of this key, by column; straight from PostgreSQL."""
        clause, values = where([Filter(f"{column} = ${{n}}", value) for column, value in key.items()])
        sql = f"SELECT {', '.join(columns)} FROM {SCHEMA}.{projection} {clause} LIMIT 1"
        with self._timed(f"{projection}.row"):
            rows = await self._rows(projection, sql, *values)
        return rows[0] if rows else None

    async def cached_row(
        self, projection: str, column: str, key: str, columns: Sequence[str], *, cached: bool = True
    ) -> dict[str, Any] | None:
        """The row of this key of a projection whose rows are cached. With `cached=False` straight from PostgreSQL, and
        into the cache: what to use after `wait_for`.
        """
        if cached and self._cache is not None and (hit := await self._cache.get(projection, key)) is not None:
            return hit
        # The epoch in the same statement, so that it is the one under which this row was read.
        sql = (
            f"SELECT {', '.join(columns)}, _offset,"
            f" (SELECT epoch FROM {SCHEMA}.projections WHERE name = $2) AS _epoch"
            f" FROM {SCHEMA}.{projection} WHERE {column} = $1"
        )
        with self._timed(f"{projection}.row"):
            rows = await self._rows(projection, sql, key, projection)
        if not rows:
            return None
        offset, epoch = rows[0].pop("_offset"), rows[0].pop("_epoch")
        row = plain_row(rows[0])
        if self._cache is not None:
            await self._cache.put(projection, key, row, epoch=epoch, offset=offset)
        return row

    async def page(
        self,
        projection: str,
        columns: Sequence[str],
        order: Sequence[Sort],
        filters: Sequence[Filter] = (),
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """A page of the rows that pass every filter, in this order, which must tell any two rows apart.

        A row whose place in the order changes between two pages may come twice or not at all. Raises InvalidCursor for
        a cursor that no page of this order gave.
        """
        clause, values = where([*filters, *([] if cursor is None else [after(order, cursor)])])
        sql = (
            f"SELECT {', '.join(columns)} FROM {SCHEMA}.{projection} {clause}"
            f" ORDER BY {ordered(order)} LIMIT ${len(values) + 1}"
        )
        with self._timed(f"{projection}.page"):
            rows = await self._rows(projection, sql, *values, limit + 1)
        return paged(rows, limit, order)

    async def rows(self, projection: str, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What a SELECT of one read model gives: the way of a feature's own queries."""
        with self._timed(f"{projection}.rows"):
            return await self._rows(projection, sql, *values)

    async def documents(self, projection: str, *keys: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows of a read model that lives in Redis: those of these keys, without a key all of them.

        Where each partition has rows of its own, a key has one row for each; put them together as the query needs it.
        """
        reader = self._documents
        with reading("redis", "EVALSHA", f"documents.{projection}"):
            rows = None if reader is None else await reader.rows(projection, *keys)
        if rows is None:
            raise NotBuilt(projection)
        return rows

    async def wait_for(self, token: Token, deadline_s: float, projection: str | None = None) -> bool:
        """Wait until the read models show what `token` stands for; False if `deadline_s` seconds passed first.

        For records: until `projection` (or the token's own, or else every projection of the topic) has passed them; a
        topic that none of them reads is nothing to wait for. After True, read with `cached=False`: the cache may be a
        moment behind.
        """
        wait_s = WAIT_FIRST_S
        give_up_at = asyncio.get_running_loop().time() + deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                while not await self._shows(token, token.projection or projection):
                    # A driver may swallow the one cancellation of the timeout: then nothing else would end the loop.
                    if asyncio.get_running_loop().time() >= give_up_at:
                        return False
                    await asyncio.sleep(wait_s)
                    wait_s = min(wait_s * 1.5, WAIT_MAX_S)
        except TimeoutError:
            return False
        return True

    async def _shows(self, token: Token, projection: str | None) -> bool:
        with self._timed("readmodel.wait"):  # one name for all: a projection here is what the caller wrote
            if token.entity is not None:
                return await self._shows_version(token.entity)
            return await self._has_passed(token.records, projection)

    async def _shows_version(self, entity: EntityVersion) -> bool:
        key = self._versioned.get(entity.projection)
        unknown = ValueError(f"the rows of {entity.projection} have no version to wait for")
        try:
            if key is None:
                raise NotBuilt(entity.projection)
            column, _, kind = key.partition(" ")
            sql = f"SELECT version FROM readmodel.{entity.projection} WHERE {column} = $1::text::{kind or 'text'}"
            rows = await self._rows(entity.projection, sql, entity.key)
        except asyncpg.DataError:
            raise ValueError(f"the rows of {entity.projection} have no such key") from None
        except NotBuilt:
            # No table: it may be one of documents, whose rows say themselves whether they have a version.
            documents = await self._documents.rows(entity.projection, (entity.key,)) if self._documents else None
            if documents is None:
                if key is None:
                    raise unknown from None
                raise
            rows = documents
        if any(type(row.get("version")) is not int for row in rows):
            raise unknown
        return any(row["version"] >= entity.version for row in rows)

    async def _has_passed(self, records: Sequence[RecordPosition], projection: str | None) -> bool:
        """True if no live projection that reads one of the topics is still short of its records."""
        live = "SELECT FROM readmodel.generations WHERE state = 'live' AND coalesce(projection = $1, true) LIMIT 1"
        if not await self._rows(projection or "any", live, projection):
            if projection is None:
                return False
            return await self._documents_have_passed(records, projection)
        behind = await self._rows(
            "any",
            """
            SELECT FROM readmodel.generations generation
            JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS wanted (topic, partition, record_offset)
              ON wanted.topic = ANY (generation.topics)
            LEFT JOIN readmodel.positions position
              ON position.projection = generation.projection AND position.generation = generation.generation
              AND position.topic = wanted.topic AND position.partition = wanted.partition
            WHERE generation.state = 'live' AND ($1::text IS NULL OR generation.projection = $1)
              AND coalesce(position.next_offset, 0) <= wanted.record_offset
            LIMIT 1
            """,
            projection,
            [record.topic for record in records],
            [record.partition for record in records],
            [record.offset for record in records],
        )
        return not behind

    async def _documents_have_passed(self, records: Sequence[RecordPosition], projection: str) -> bool:
        positions = None if self._documents is None else await self._documents.positions(projection)
        if positions is None:
            raise NotBuilt(projection)
        topics = {topic for topic, _ in positions}
        return all(
            positions.get((record.topic, record.partition), 0) > record.offset
            for record in records
            if record.topic in topics
        )

    async def _rows(self, projection: str, sql: str, *values: Any) -> list[dict[str, Any]]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return [dict(row) for row in await self._pool.fetch(sql, *values)]
            except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
                if attempt == ATTEMPTS:
                    raise
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
                raise NotBuilt(projection) from error
        raise AssertionError("unreachable")
