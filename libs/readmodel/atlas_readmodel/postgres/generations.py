"""Generations of a read model: which one readers see, how another takes its place.

    building ──swap──▶ live ──swap──▶ previous ──next swap──▶ dropped
                        ▲    rollback     │
                        └────────────────┘

Every function takes a connection and makes its change in one transaction. Whoever changes a projection's generations
first locks its row in readmodel.projections, then positions: the same order everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from atlas_readmodel.table import SCHEMA, ReadModel, relation

Connection = Any  # asyncpg.Connection or the pool's proxy of one
# Readers queue behind the lock that replaces their view: rather try again later than make them wait for a slow query.
VIEW_LOCK_TIMEOUT = "2s"


class NotCaughtUp(Exception):
    """The generation has not yet handled all that readers see now."""


class NoSuchGeneration(Exception):
    """There is no generation in the state that this needs."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation: its number, the version of the projection that fills it, its state."""

    number: int
    version: int
    state: str


async def ensure_live(connection: Connection, model: ReadModel) -> Generation:
    """The live generation; the first one, with its table and view, is made when there is none. Any number may call."""
    async with connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('atlas readmodel ' || $1, 0))", model.name
        )
        await connection.execute(
            "INSERT INTO readmodel.projections (name, live_generation) VALUES ($1, 1) ON CONFLICT DO NOTHING",
            model.name,
        )
        found = await in_state(connection, model.name, "live")
        if found is not None:
            return found
        await _create(connection, model, Generation(1, model.version, "live"))
        await _replace_view(connection, model.name, model.view_sql(1))
        return Generation(1, model.version, "live")


async def in_state(connection: Connection, projection: str, state: str) -> Generation | None:
    """The generation in this state; of `dropped` ones the latest."""
    row = await connection.fetchrow(
        "SELECT generation, version, state FROM readmodel.generations WHERE projection = $1 AND state = $2"
        " ORDER BY generation DESC LIMIT 1",
        projection,
        state,
    )
    return None if row is None else Generation(row["generation"], row["version"], row["state"])


async def epoch(connection: Connection, projection: str) -> int:
    """The projection's epoch; see atlas_readmodel.cache."""
    value = await connection.fetchval("SELECT epoch FROM readmodel.projections WHERE name = $1", projection)
    return int(value)


async def raise_epoch(connection: Connection, projection: str) -> int:
    """The new epoch: rows cached under an older one no longer count."""
    value = await connection.fetchval(
        "UPDATE readmodel.projections SET epoch = epoch + 1 WHERE name = $1 RETURNING epoch", projection
    )
    return int(value)


async def begin(connection: Connection, model: ReadModel) -> Generation:
    """The generation to build: the unfinished one of this version, as far as it is, or a new one."""
    async with connection.transaction():
        await _lock(connection, model.name)
        unfinished = await in_state(connection, model.name, "building")
        if unfinished is not None:
            same_view = await connection.fetchval(
                "SELECT view_sql = $3 FROM readmodel.generations WHERE projection = $1 AND generation = $2",
                model.name,
                unfinished.number,
                model.view_sql(unfinished.number),
            )
            if unfinished.version == model.version and same_view:
                return unfinished
            await _set_state(connection, model.name, unfinished.number, "dropped")
        number = await connection.fetchval(
            "SELECT max(generation) + 1 FROM readmodel.generations WHERE projection = $1", model.name
        )
        generation = Generation(number, model.version, "building")
        await _create(connection, model, generation)
        return generation


async def discard(connection: Connection, projection: str) -> None:
    """Give up the unfinished generation, if there is one, with its table."""
    async with connection.transaction():
        await _lock(connection, projection)
        unfinished = await in_state(connection, projection, "building")
        if unfinished is not None:
            await _set_state(connection, projection, unfinished.number, "dropped")
    await drop_superseded(connection, projection)


async def discard_side(connection: Connection, name: str) -> bool:
    """Remove a side table with all that is known of it; False, and nothing is done, if the name is a projection's."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('atlas readmodel ' || $1, 0))", name)
        rows = await connection.fetch("SELECT topics FROM readmodel.generations WHERE projection = $1", name)
        if any(row["topics"] for row in rows):
            return False
        await connection.execute(f"DROP VIEW IF EXISTS {SCHEMA}.{name}")
        await connection.execute(f"DROP TABLE IF EXISTS {relation(name, 1)}")
        await _forget(connection, name)
    return True


async def retire(connection: Connection, name: str) -> list[str]:
    """Remove a read model that nobody runs, with all that is known of it; gives its tables, none when there is none."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('atlas readmodel ' || $1, 0))", name)
        rows = await connection.fetch(
            "SELECT generation FROM readmodel.generations WHERE projection = $1 ORDER BY generation", name
        )
        if not rows:
            return []
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        tables = [relation(name, row["generation"]) for row in rows]
        await connection.execute(f"DROP VIEW IF EXISTS {SCHEMA}.{name}")
        await connection.execute(f"DROP TABLE IF EXISTS {', '.join(tables)}")
        await _forget(connection, name)
    return tables


async def _forget(connection: Connection, name: str) -> None:
    for table in ("parked", "positions", "generations", "failures", "dead_letters"):
        await connection.execute(f"DELETE FROM readmodel.{table} WHERE projection = $1", name)
    await connection.execute("DELETE FROM readmodel.projections WHERE name = $1", name)


async def hold(connection: Connection, projection: str) -> Mapping[tuple[str, int], int]:
    """Within the caller's transaction: stop the live generation where it is, and say where that is.

    Its writers wait for the end of the transaction; readers do not.
    """
    await _lock(connection, projection)
    live = await _must(connection, projection, "live")
    return await _lock_positions(connection, projection, live.number)


async def swap(connection: Connection, model: ReadModel, number: int) -> int:
    """Within the caller's transaction: readers see generation `number` from its commit on. Returns the new epoch.

    Raises NotCaughtUp, and changes nothing, unless it is at or past the live one in every partition.
    """
    held = await hold(connection, model.name)
    built = await _lock_positions(connection, model.name, number)
    behind = [f"{topic}/{p} at {built.get((topic, p), 0)} of {at}" for (topic, p), at in held.items()
              if built.get((topic, p), 0) < at]  # fmt: skip
    if behind:
        raise NotCaughtUp(f"generation {number} of {model.name} is behind the live one: {', '.join(behind)}")
    if other := await _of_other_topics(connection, model.name, number):
        raise NotCaughtUp(f"generation {number} of {model.name} is of another topic than the live one: {other}")
    previous = await in_state(connection, model.name, "previous")
    if previous is not None:
        await _set_state(connection, model.name, previous.number, "dropped")
    return await _go_live(connection, model.name, number)


async def rollback(connection: Connection, projection: str) -> Generation:
    """Readers see the generation before again, as it was when it was replaced; it then goes on from there.

    The one taken back is kept as the previous one. Raises NoSuchGeneration when there is none to go back to.
    """
    async with connection.transaction():
        await hold(connection, projection)
        previous = await _must(connection, projection, "previous")
        await _lock_positions(connection, projection, previous.number)
        await _go_live(connection, projection, previous.number)
        return Generation(previous.number, previous.version, "live")


async def drop_superseded(connection: Connection, projection: str) -> list[int]:
    """Drop the tables of dropped generations; returns their numbers. Their positions stay as history."""
    rows = await connection.fetch(
        "SELECT generation FROM readmodel.generations WHERE projection = $1 AND state = 'dropped'"
        f" AND to_regclass('{SCHEMA}.' || projection || '_g' || generation) IS NOT NULL",
        projection,
    )
    numbers = [row["generation"] for row in rows]
    for number in numbers:
        async with connection.transaction():
            # A query that began before the swap may still read it.
            await connection.execute("SET LOCAL lock_timeout = '10s'")
            await connection.execute(f"DROP TABLE {relation(projection, number)}")
    return numbers


async def _create(connection: Connection, model: ReadModel, generation: Generation) -> None:
    await connection.execute(
        "INSERT INTO readmodel.generations (projection, generation, version, topics, state, view_sql, live_since)"
        " VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $5 = 'live' THEN now() END)",
        model.name,
        generation.number,
        model.version,
        list(model.topics),
        generation.state,
        model.view_sql(generation.number),
    )
    for statement in model.ddl(generation.number):
        await connection.execute(statement)


async def _go_live(connection: Connection, projection: str, number: int) -> int:
    live = await _must(connection, projection, "live")
    await _set_state(connection, projection, live.number, "previous")
    await _set_state(connection, projection, number, "live")
    view_sql = await connection.fetchval(
        "SELECT view_sql FROM readmodel.generations WHERE projection = $1 AND generation = $2", projection, number
    )
    await _replace_view(connection, projection, view_sql)
    value = await connection.fetchval(
        "UPDATE readmodel.projections SET live_generation = $2, epoch = epoch + 1 WHERE name = $1 RETURNING epoch",
        projection,
        number,
    )
    return int(value)


async def _set_state(connection: Connection, projection: str, number: int, state: str) -> None:
    await connection.execute(
        "UPDATE readmodel.generations SET state = $3, live_since = CASE WHEN $3 = 'live' THEN now() ELSE live_since END"
        " WHERE projection = $1 AND generation = $2",
        projection,
        number,
        state,
    )
    await connection.execute(
        "UPDATE readmodel.positions SET writable = $3 WHERE projection = $1 AND generation = $2",
        projection,
        number,
        state in ("building", "live"),
    )


async def _replace_view(connection: Connection, projection: str, view_sql: str) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = '{VIEW_LOCK_TIMEOUT}'")
    try:
        async with connection.transaction():
            await connection.execute(f"CREATE OR REPLACE VIEW {SCHEMA}.{projection} AS {view_sql}")
    except asyncpg.InvalidTableDefinitionError:
        # The columns are others than before; grants on the old view go with it.
        await connection.execute(f"DROP VIEW {SCHEMA}.{projection}")
        await connection.execute(f"CREATE VIEW {SCHEMA}.{projection} AS {view_sql}")


async def _lock(connection: Connection, projection: str) -> None:
    # NO KEY: rows that refer to this one may be inserted meanwhile by a writer whose positions we wait for.
    await connection.execute("SELECT FROM readmodel.projections WHERE name = $1 FOR NO KEY UPDATE", projection)


async def _lock_positions(connection: Connection, projection: str, number: int) -> dict[tuple[str, int], int]:
    rows = await connection.fetch(
        "SELECT topic, partition, next_offset FROM readmodel.positions WHERE projection = $1 AND generation = $2"
        " ORDER BY topic, partition FOR NO KEY UPDATE",
        projection,
        number,
    )
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def _of_other_topics(connection: Connection, projection: str, number: int) -> str | None:
    """The partitions in which the live generation and this one count in topics of different ids."""
    found: str | None = await connection.fetchval(
        "SELECT string_agg(own.topic || '/' || own.partition, ', ') FROM readmodel.positions own"
        " JOIN readmodel.positions live USING (projection, topic, partition)"
        " JOIN readmodel.generations g ON g.projection = live.projection AND g.generation = live.generation"
        " WHERE own.projection = $1 AND own.generation = $2 AND g.state = 'live' AND own.topic_id <> live.topic_id",
        *(projection, number),
    )
    return found


async def _must(connection: Connection, projection: str, state: str) -> Generation:
    found = await in_state(connection, projection, state)
    if found is None:
        raise NoSuchGeneration(f"{projection} has no {state} generation")
    return found
