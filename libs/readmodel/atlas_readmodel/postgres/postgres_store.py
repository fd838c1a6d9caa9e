"""A read model in PostgreSQL: a table for each generation, a view for its readers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from atlas_readmodel.postgres import generations
from atlas_readmodel.postgres.comparison import Comparison, compare, missing
from atlas_readmodel.postgres.generations import Connection, Generation
from atlas_readmodel.postgres.writer import Writer
from atlas_readmodel.store import HOLD_MAX_S, Busy, Level, Waiting
from atlas_readmodel.table import ReadModel
from atlas_readmodel.waiting import parking
from atlas_readmodel.waiting.parking import Decision, Parked, Place, Ruling

T = TypeVar("T")


class PostgresStore:
    """See Store. Each call takes a connection of the pool."""

    def __init__(self, pool: asyncpg.Pool, model: ReadModel) -> None:
        self._pool = pool
        self._model = model

    async def ensure_live(self) -> Generation:
        async with self._pool.acquire() as connection:
            return await generations.ensure_live(connection, self._model)

    async def in_state(self, state: str) -> Generation | None:
        return await generations.in_state(self._pool, self._model.name, state)

    async def begin(self) -> Generation:
        async with self._pool.acquire() as connection:
            return await generations.begin(connection, self._model)

    async def discard(self) -> None:
        async with self._pool.acquire() as connection:
            await generations.discard(connection, self._model.name)

    async def begin_side(self) -> Generation | None:
        async with self._pool.acquire() as connection:
            if not await generations.discard_side(connection, self._model.name):
                return None
            return await generations.ensure_live(connection, self._model)

    def rows(self, generation: int) -> Writer:
        return Writer(self._pool, self._model, generation)

    async def compare(self, number: int, level: Level) -> Comparison | None:
        """See Store. The live generation goes on while the snapshot taken in between is compared."""

        async def both(snapshot: Any, live: int) -> Comparison:
            return await compare(snapshot, self._model, live, number)

        return await self._with_live(level, both)

    async def missing(self, number: int, level: Level) -> int:
        """See Store. Counted in a snapshot, as the comparison."""

        async def count(snapshot: Any, live: int) -> int:
            return await missing(snapshot, self._model, live, number)

        return await self._with_live(level, count) or 0

    async def _with_live(self, level: Level, look: Callable[[Any, int], Awaitable[T]]) -> T | None:
        """What `look` finds in a snapshot with a live generation of this version, as the other was level with it."""
        async with self._pool.acquire() as snapshot:
            both = snapshot.transaction(isolation="repeatable_read", readonly=True)
            async with self._held(level):
                # The first statement fixes what this transaction sees: both generations, level.
                await both.start()
                live = await generations.in_state(snapshot, self._model.name, "live")
            try:
                if live is None or live.version != self._model.version:
                    return None
                return await look(snapshot, live.number)
            finally:
                await both.rollback()

    async def swap(self, number: int, level: Level) -> int:
        async with self._held(level) as connection:
            return await generations.swap(connection, self._model, number)

    async def tidy(self, number: int) -> int:
        async with self._pool.acquire() as connection:
            await generations.drop_superseded(connection, self._model.name)
            return int(await connection.fetchval(f"SELECT count(*) FROM {self._model.relation(number)}"))

    async def rollback(self) -> tuple[Generation, int]:
        async with self._pool.acquire() as connection:
            generation = await generations.rollback(connection, self._model.name)
            return generation, await generations.epoch(connection, self._model.name)

    async def raise_epoch(self) -> int:
        return await generations.raise_epoch(self._pool, self._model.name)

    async def ruling(self, place: Place) -> Decision | None:
        found = await self._pool.fetchval(
            "SELECT decision FROM readmodel.dead_letters"
            " WHERE projection = $1 AND topic = $2 AND partition = $3 AND record_offset = $4",
            *(self._model.name, *place),
        )
        return None if found is None else Decision(found)

    async def rule(self, rulings: Collection[Ruling]) -> None:
        async with self._pool.acquire() as connection:
            await parking.set_rulings(connection, self._model.name, rulings)

    async def overview(self) -> list[dict[str, Any]]:
        rows = await self._pool.fetch(
            "SELECT projection, generation, version, state, created_at, live_since,"
            " (SELECT coalesce(sum(events), 0)::bigint FROM readmodel.positions p"
            "  WHERE p.projection = g.projection AND p.generation = g.generation) AS events"
            " FROM readmodel.generations g WHERE state <> 'dropped' AND projection = $1 ORDER BY generation",
            self._model.name,
        )
        return [dict(row) for row in rows]

    async def parked(self, states: Collection[str], limit: int) -> Waiting:
        return Waiting(*await parking.of_live(self._pool, self._model.name, states, limit))

    async def parked_at(self, place: Place) -> Parked | None:
        return await parking.of_live_at(self._pool, self._model.name, place)

    async def ask(self, what: str, places: Collection[Place] | None) -> list[Place]:
        return await parking.ask(self._pool, self._model.name, what, places)

    @asynccontextmanager
    async def _held(self, level: Level) -> AsyncIterator[Connection]:
        """A transaction within which the live generation stands still and the one that is built is level with it."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                async with asyncio.timeout(HOLD_MAX_S):
                    await level(await generations.hold(connection, self._model.name))
                yield connection
        except (TimeoutError, asyncpg.LockNotAvailableError) as error:
            raise Busy(
                "a reader's query holds the view, or live events come faster than these"
                if isinstance(error, asyncpg.LockNotAvailableError)
                else f"it could not be drawn level within {HOLD_MAX_S:g} s"
            ) from error
