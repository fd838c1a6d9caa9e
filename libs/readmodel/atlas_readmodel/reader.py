"""What queries read: the live generation of each read model, through its view.

A view is replaced while readers run (a rebuild's swap); a statement prepared against the old one is prepared again, and
no reader sees an error or a mixture.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from atlas_readmodel.cache import Cache
from atlas_readmodel.documents_reader import DocumentsReader
from atlas_readmodel.json_rows import plain_row
from atlas_readmodel.pages import Page, decode_cursor, paged, where
from atlas_readmodel.token import EntityVersion, RecordPosition, Token

T = TypeVar("T")

WAIT_FIRST_S = 0.003
WAIT_MAX_S = 0.05
# A view may be replaced once between any two attempts; twice in a row within one query does not happen.
ATTEMPTS = 3

# The read models whose rows carry their entity's version, and the column that finds a row, with its type unless that is
# text (`booking_id uuid`): a token can wait for those.
VERSIONED = {
    "users": "user_id",
}

USER_COLUMNS = "user_id, email, display_name, country, status, registered_at, updated_at, version"
FLIGHT_COLUMNS = (
    "flight_id, carrier, flight_number, tail_number, origin, destination, scheduled_departure, status,"
    " departure_delay_minutes, arrival_delay_minutes, air_time_minutes, distance_miles"
)
STATISTICS_COLUMNS = (
    "flights, departed, cancelled, departure_delay_sum, departure_delay_count, arrival_delay_sum, arrival_delay_count,"
    " mean_departure_delay_minutes, mean_arrival_delay_minutes"
)


class NotBuilt(Exception):
    """The projector has not made this read model yet; `projection` names it. Answer 503."""

    def __init__(self, projection: str) -> None:
        super().__init__(f"the read model {projection} is not built yet: the projector has not run on this database")
        self.projection = projection


class Reader:
    """Queries over the read models. Rows are dicts of the view's columns, on connections with `set_reading_codecs`; one
    that may come from the cache has JSON's forms of its values (atlas_readmodel.json_rows).

    Every method raises NotBuilt while its read model does not exist, and asyncpg's error (for documents Redis') when
    the server that has it is away.
    """

    def __init__(self, pool: asyncpg.Pool, cache: Cache | None, documents: DocumentsReader | None = None) -> None:
        self._pool = pool
        self._cache = cache
        self._documents = documents

    async def user(self, user_id: str, *, cached: bool = True) -> dict[str, Any] | None:
        """One user. With `cached=False` straight from PostgreSQL: what to use after `wait_for`."""
        return await self._one("users", "user_id", USER_COLUMNS, user_id, cached)

    async def flight(self, flight_id: str, *, cached: bool = True) -> dict[str, Any] | None:
        """One flight; see `user` for `cached`."""
        return await self._one("flights", "flight_id", FLIGHT_COLUMNS, flight_id, cached)

    async def users(
        self, search: str | None = None, status: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """Users, the latest registered first. `search`: part of e-mail or display name, whatever the case."""
        filters: list[tuple[str, Any]] = []
        if search:
            filters.append(("(email ILIKE ${n} OR display_name ILIKE ${n})", f"%{_escape_like(search)}%"))
        if status:
            filters.append(("status = ${n}", status))
        return await self._page("users", USER_COLUMNS, ("registered_at", "user_id"), filters, limit, cursor)

    async def flights(
        self,
        origin: str | None = None,
        destination: str | None = None,
        carrier: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Flights, the latest scheduled first."""
        wanted = {"origin": origin, "destination": destination, "carrier": carrier}
        filters = [(f"{column} = ${{n}}", value) for column, value in wanted.items() if value]
        return await self._page("flights", FLIGHT_COLUMNS, ("scheduled_departure", "flight_id"), filters, limit, cursor)

    async def rows(self, projection: str, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What a SELECT of one read model gives: the way of a feature's own queries."""
        return await self._rows(projection, sql, *values)

    async def documents(self, projection: str, *keys: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows of a read model that lives in Redis: those of these keys, without a key all of them.

        Where each partition has rows of its own, a key has one row for each; put them together as the query needs it.
        """
        reader = self._documents
        rows = None if reader is None else await reader.rows(projection, *keys)
        if rows is None:
            raise NotBuilt(projection)
        return rows

    async def routes(self, origin: str | None = None, destination: str | None = None) -> list[dict[str, Any]]:
        """Delay statistics by route, the busiest first."""
        wanted = {"origin": origin, "destination": destination}
        clause, values = where([(f"{column} = ${{n}}", value) for column, value in wanted.items() if value])
        return await self._rows(
            "routes",
            f"SELECT origin, destination, {STATISTICS_COLUMNS} FROM readmodel.routes {clause}"
            " ORDER BY flights DESC, origin, destination",
            *values,
        )

    async def carriers(self) -> list[dict[str, Any]]:
        """Delay statistics by carrier, the busiest first."""
        sql = f"SELECT carrier, {STATISTICS_COLUMNS} FROM readmodel.carriers ORDER BY flights DESC, carrier"
        return await self._rows("carriers", sql)

    async def busiest(
        self, projection: str, keys: Sequence[str], wanted: Mapping[str, str | None], limit: int, cursor: str | None
    ) -> Page:
        """A page of the delay statistics of `projection` by `keys`, the busiest first.

        A row whose count changes between two pages may come twice or not at all.
        """
        clause, values = where([(f"{column} = ${{n}}", value) for column, value in wanted.items() if value])
        listed = ", ".join(keys)
        if cursor is not None:
            values += (sort_and_keys := decode_cursor(cursor, ("bigint", *("text" for _ in keys))))
            first = len(values) - len(sort_and_keys) + 1
            numbers = ", ".join(f"${number}" for number in range(first + 1, len(values) + 1))
            after = f"(flights < ${first} OR (flights = ${first} AND ({listed}) > ({numbers})))"
            clause = f"{clause} AND {after}" if clause else f"WHERE {after}"
        values.append(limit + 1)
        sql = f"SELECT {listed}, {STATISTICS_COLUMNS} FROM readmodel.{projection} {clause}"
        rows = await self._rows(projection, f"{sql} ORDER BY flights DESC, {listed} LIMIT ${len(values)}", *values)
        return paged(rows, limit, ("flights", *keys))

    async def carrier(self, code: str) -> dict[str, Any] | None:
        """Delay statistics of one carrier."""
        rows = await self._rows(
            "carriers", f"SELECT carrier, {STATISTICS_COLUMNS} FROM readmodel.carriers WHERE carrier = $1", code
        )
        return rows[0] if rows else None

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
        if token.entity is not None:
            return await self._shows_version(token.entity)
        return await self._has_passed(token.records, projection)

    async def _shows_version(self, entity: EntityVersion) -> bool:
        key = VERSIONED.get(entity.projection)
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

    async def _one(
        self, projection: str, key_column: str, columns: str, key: str, cached: bool
    ) -> dict[str, Any] | None:
        cache = self._cache if cached else None
        if cache is not None and (hit := await cache.get(projection, key)) is not None:
            return hit
        # The epoch in the same statement, so that it is the one under which this row was read.
        rows = await self._rows(
            projection,
            f"SELECT {columns}, _offset, (SELECT epoch FROM readmodel.projections WHERE name = $2) AS _epoch"
            f" FROM readmodel.{projection} WHERE {key_column} = $1",
            key,
            projection,
        )
        if not rows:
            return None
        offset, epoch = rows[0].pop("_offset"), rows[0].pop("_epoch")
        row = plain_row(rows[0])
        if self._cache is not None:
            await self._cache.put(projection, key, row, epoch=epoch, offset=offset)
        return row

    async def _page(
        self,
        projection: str,
        columns: str,
        order: tuple[str, str],
        filters: Sequence[tuple[str, Any]],
        limit: int,
        cursor: str | None,
    ) -> Page:
        clause, values = where(filters)
        sort, key = order
        if cursor is not None:
            after = f"({sort}, {key}) < (${len(values) + 1}, ${len(values) + 2})"
            clause = f"{clause} AND {after}" if clause else f"WHERE {after}"
            values += decode_cursor(cursor, ("bigint", "text"))
        values.append(limit + 1)
        rows = await self._rows(
            projection,
            f"SELECT {columns} FROM readmodel.{projection} {clause}"
            f" ORDER BY {sort} DESC, {key} DESC LIMIT ${len(values)}",
            *values,
        )
        return paged(rows, limit, order)

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


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
