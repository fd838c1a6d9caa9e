"""Rows and positions of one generation, in one transaction.

The position of a partition (its next offset) is a row, moved in the transaction that writes the rows made from the
records before it, and only from where the writer believes it to be. So each record takes effect once, whoever
delivers it how often, and a writer that was overtaken is told so before it changes anything.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import asyncpg
from atlas_avro.durations import Duration

from atlas_readmodel.postgres import deaths, refusals, topic_ids
from atlas_readmodel.postgres.deaths import Mark
from atlas_readmodel.postgres.statements import Statements, tuple_getter
from atlas_readmodel.postgres.topic_ids import Partition, Renewal
from atlas_readmodel.table import ReadModel
from atlas_readmodel.waiting import dropping, parking
from atlas_readmodel.waiting.parking import Decision, Dropped, Parked, Place, Ruling

Key = tuple[Any, ...]
Row = dict[str, Any]

# Below this many rows one statement with arrays is quicker than COPY into a staging table (0.5 against 2.7 ms for one
# row); above it COPY is (80,000 against 46,000 rows/s, at an eighth of the client's processor time).
COPY_FROM_ROWS = 100
_SCALARS = {str, int, float, bool, bytes, type(None), Duration}


class Fenced(Exception):
    """The position is not where this writer left it, or its generation is not written any more: begin again."""


@dataclass(frozen=True, slots=True)
class Advance:
    """A partition's next offset moves from `expected` to `next_offset`; `events` records in between were handled."""

    topic: str
    partition: int
    expected: int
    next_offset: int
    events: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What a run of records comes to: positions moved, rows changed (None: deleted), records that wait or no longer
    do, decisions about records.
    """

    advances: Sequence[Advance]
    rows: Mapping[Key, Row | None]
    parked: Sequence[Parked] = ()
    released: Sequence[Place] = ()
    rulings: Sequence[Ruling] = ()


@dataclass(frozen=True, slots=True)
class Waits:
    """What a writer begins with beside its rows: records that wait, decisions with the reason of those that set one
    aside, records that somebody was about to handle.
    """

    records: Sequence[Parked]
    rulings: Mapping[Place, Decision]
    marks: Mapping[Place, Mark]
    reasons: Mapping[Place, str] = field(default_factory=dict)


@asynccontextmanager
async def _unhurried(connection: Any) -> AsyncIterator[None]:
    """A transaction that is not waited for until it is on the disk, begun in one round trip.

    A crash of PostgreSQL may undo the last commits, rows and positions together; they are then read again from the
    topic.
    """
    try:
        await connection.execute("BEGIN; SET LOCAL synchronous_commit = off")
        yield
        await connection.execute("COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise


class Writer:
    """Loads and writes the rows of one generation of a read model; knows nothing of events.

    Each call takes a connection of the pool. Two may run at once, as long as one is a load.
    """

    def __init__(self, pool: asyncpg.Pool, model: ReadModel, generation: int) -> None:
        self._pool = pool
        self._model = model
        self.generation = generation
        self._topic_ids: dict[str, str] = {}

    async def load(self, keys: Collection[Key]) -> dict[Key, Row]:
        """The rows of these keys that exist. A key has its columns in the order of `Table.primary_key`."""
        table = self._model.table
        if not keys:
            return {}
        arrays = zip(*keys, strict=True)
        found = await self._pool.fetch(self._sql.load, *(list(array) for array in arrays))
        key_of = tuple_getter(table.primary_key)
        return {key_of(row): row for row in map(self._sql.row_of, found)}

    async def positions(self) -> dict[tuple[str, int], int]:
        """The next offset of every (topic, partition) that has one."""
        rows = await self._pool.fetch(
            "SELECT topic, partition, next_offset FROM readmodel.positions WHERE projection = $1 AND generation = $2",
            self._model.name,
            self.generation,
        )
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def topic_ids(self) -> dict[Partition, str | None]:
        """The topic id of each position; None where it is not known."""
        return await topic_ids.known(self._pool, self._model.name, self.generation)

    async def adopt(self, ids: Mapping[str, str], ends: Mapping[Partition, int]) -> None:
        """Give positions without an id the one that their topic has now, where they lie within the partition."""
        await topic_ids.adopt(self._pool, self._model.name, self.generation, ids, ends)

    async def renew(self, renewals: Collection[Renewal]) -> None:
        """Begin at 0 of the topics that are there now, in one transaction; see atlas_readmodel.postgres.topic_ids."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM readmodel.projections WHERE name = $1 FOR SHARE", self._model.name)
            await topic_ids.renew(connection, self._model.name, self.generation, renewals)

    async def add_positions(self, partitions: Iterable[tuple[str, int]], ids: Mapping[str, str] | None = None) -> None:
        """Begin partitions that have no position yet at 0, of topics with these ids: this writer moves no others."""
        added = sorted(partitions)
        self._topic_ids = dict(ids or {})
        async with self._pool.acquire() as connection, connection.transaction():
            # Not while a swap compares positions: it would not see the new ones.
            await connection.execute("SELECT FROM readmodel.projections WHERE name = $1 FOR SHARE", self._model.name)
            await connection.execute(
                "INSERT INTO readmodel.positions"
                " (projection, generation, topic, partition, next_offset, writable, topic_id)"
                " SELECT projection, generation, topic, partition, 0, state IN ('building', 'live'), topic_id"
                " FROM readmodel.generations,"
                "   unnest($3::text[], $4::int[], $5::text[]) AS added (topic, partition, topic_id)"
                " WHERE projection = $1 AND generation = $2 ON CONFLICT DO NOTHING",
                self._model.name,
                self.generation,
                [topic for topic, _ in added],
                [number for _, number in added],
                [self._topic_ids.get(topic) for topic, _ in added],
            )

    async def drop_asked(self, expected: Mapping[Partition, int], most: int) -> Dropped:
        """See Rows, and atlas_readmodel.waiting.dropping."""
        async with self._pool.acquire() as connection, connection.transaction():
            dropped = await dropping.drop(connection, self._model.name, self.generation, expected, most)
        if dropped is None:
            raise Fenced(f"generation {self.generation} of {self._model.name} was moved on by another")
        return dropped

    async def skipped(self) -> list[Place]:
        """The records that are to be stepped over."""
        return await parking.skipped(self._pool, self._model.name)

    async def take_over(self, reader: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """See atlas_readmodel.postgres.deaths."""
        return await deaths.take_over(self._pool, self._model.name, self.generation, reader, partitions)

    async def let_go(self, reader: str, partitions: Collection[Partition]) -> None:
        """See atlas_readmodel.postgres.deaths."""
        await deaths.let_go(self._pool, self._model.name, self.generation, reader, partitions)

    async def mark(self, place: Place, records: int, reader: str) -> None:
        """See atlas_readmodel.postgres.deaths."""
        await deaths.mark(self._pool, self._model.name, place, records, reader)

    async def unmark(self, places: Collection[Place]) -> None:
        """See atlas_readmodel.postgres.deaths."""
        await deaths.unmark(self._pool, self._model.name, places)

    async def empty(self) -> bool:
        """Whether there is no row."""
        found = await self._pool.fetchval(f"SELECT EXISTS (SELECT FROM {self._model.relation(self.generation)})")
        return not found

    async def waiting(self, partitions: Iterable[tuple[str, int]]) -> Waits:
        """What waits of these partitions, and every decision about records of the projection."""
        name = self._model.name
        async with self._pool.acquire() as connection:
            records = [
                record
                for topic, partition in sorted(partitions)
                for record in await parking.parked(connection, name, self.generation, topic, partition)
            ]
            rulings, reasons = await parking.rulings(connection, name)
            return Waits(records, rulings, await deaths.marks(connection, name), reasons)

    async def asked(self) -> set[str]:
        """What an operator wants done with some of the records that wait."""
        return await parking.asked(self._pool, self._model.name, self.generation)

    async def requests(self) -> list[list[Parked]]:
        """What an operator wants done: for each record asked for, all that waits of its key, in offset order."""
        name, found = self._model.name, []
        async with self._pool.acquire() as connection:
            seen: set[Place] = set()
            for record in await parking.requested(connection, name, self.generation):
                if record.place not in seen:
                    found.append(await parking.parked_of_key(connection, name, self.generation, record))
                    seen.update(each.place for each in found[-1])
        return found

    async def write(self, batch: Batch) -> None:
        """Make a batch durable, all of it or nothing; raises Fenced when another writer has moved a position.

        1. Move the positions, each from the expected offset and only while the generation is written.
        2. Write the rows, delete those that ended.
        3. Park records, let go those that waited, note what was decided.
        """
        async with self._pool.acquire() as connection, _unhurried(connection):
            await self._move(connection, batch.advances)  # 1
            await self._write_rows(connection, batch.rows)  # 2
            await self._write_parked(connection, batch)  # 3

    async def try_each(self, rows: Mapping[Key, Row | None]) -> Mapping[Key, str]:
        """See atlas_readmodel.postgres.refusals.try_each."""
        return await refusals.try_each(self._pool, self._model, self._sql, rows)

    async def explain(self, rows: Mapping[Key, Row | None], error: str) -> str:
        """See atlas_readmodel.postgres.refusals.explain."""
        return await refusals.explain(self._pool, self._model, rows, error)

    async def _write_parked(self, connection: Any, batch: Batch) -> None:
        name = self._model.name
        if batch.released:
            await parking.release(connection, name, self.generation, batch.released)
        if batch.parked:
            await parking.park(connection, name, self.generation, batch.parked)
        if batch.rulings:
            await parking.set_rulings(connection, name, batch.rulings)

    async def _move(self, connection: Any, advances: Sequence[Advance]) -> None:
        # The conditions are on the row itself, so they hold after a wait for its lock as well: a sub-select on another
        # table would still see the moment before the wait.
        moved = await connection.fetch(
            "UPDATE readmodel.positions position"
            " SET next_offset = advance.next_offset, events = position.events + advance.events"
            " FROM unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[])"
            "   AS advance (topic, partition, expected, next_offset, events, topic_id)"
            " WHERE position.projection = $1 AND position.generation = $2 AND position.topic = advance.topic"
            "   AND position.partition = advance.partition AND position.next_offset = advance.expected"
            "   AND position.writable AND coalesce(position.topic_id = advance.topic_id, true)"
            " RETURNING position.topic, position.partition",
            self._model.name,
            self.generation,
            [advance.topic for advance in advances],
            [advance.partition for advance in advances],
            [advance.expected for advance in advances],
            [advance.next_offset for advance in advances],
            [advance.events for advance in advances],
            [self._topic_ids.get(advance.topic) for advance in advances],
        )
        if len(moved) != len(advances):
            passed = {(row["topic"], row["partition"]) for row in moved}
            lost = [f"{a.topic}/{a.partition}@{a.expected}" for a in advances if (a.topic, a.partition) not in passed]
            raise Fenced(f"generation {self.generation} of {self._model.name} was moved on by another: {lost}")

    async def _write_rows(self, connection: Any, rows: Mapping[Key, Row | None]) -> None:
        sql = self._sql
        ended = [key for key, row in rows.items() if row is None]
        changed = len(rows) - len(ended)
        # Made one by one as they are encoded, while what they hold is still in the processor's cache.
        values = map(sql.values_of, filter(None, rows.values()))
        if changed >= COPY_FROM_ROWS or (changed and self._model.table.has_arrays):
            await connection.execute(sql.stage)
            await connection.copy_records_to_table(sql.stage_name, records=values, columns=sql.columns)
            await connection.execute(sql.upsert_staged)
        elif changed:
            await connection.execute(sql.upsert_arrays, *self._columns_of(values))
        if ended:
            await connection.execute(sql.delete, *map(list, zip(*ended, strict=True)))

    def _columns_of(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """The values of each column. Raises TypeError for a list among them: `unnest` would lay it flat, and every
        value after it come into another row.
        """
        columns = [list(column) for column in zip(*rows, strict=True)]
        for name, column in zip(self._sql.columns, columns, strict=True):
            for kind in set(map(type, column)) - _SCALARS:
                if issubclass(kind, Iterable) and not issubclass(kind, str | bytes | bytearray | memoryview):
                    raise TypeError(f"column {name}: expected {self._model.table.types[name]}, got {kind.__name__}")
        return columns

    @cached_property
    def _sql(self) -> Statements:
        return Statements(self._model, self.generation)
