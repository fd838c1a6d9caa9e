"""Records that wait beside the rows of a generation, and what was decided about records for good.

    dead     it could not be handled; the head of its key
    behind   a later record of such a key: handled after it, in order
    early    its entity's version is ahead of the row's: it waits for the ones between

What waits belongs to one generation, so that two of them side by side do not touch each other's. Decisions (see
`Decision`) belong to the projection: a rebuild follows them, so that it comes to the rows that readers have.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

Headers = Sequence[tuple[str, bytes | None]]
Place = tuple[str, int, int]


class State(StrEnum):
    """Why a record waits."""

    DEAD = "dead"
    BEHIND = "behind"
    EARLY = "early"


class Decision(StrEnum):
    """What became of a record that was not simply applied."""

    SET_ASIDE = "set_aside"
    UNREAD = "unread"
    SKIPPED = "skipped"
    DROPPED = "dropped"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Parked:
    """A whole record, and why it waits. Times in epoch milliseconds; `place` is (topic, partition, offset)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    state: State
    error: str | None = None
    attempts: int = 1
    parked_at_ms: int = 0
    request: str | None = None

    @property
    def place(self) -> Place:
        return (self.topic, self.partition, self.offset)

    def failed_again(self, error: str) -> "Parked":
        """The same record after one more attempt; no longer asked for."""
        return replace(self, state=State.DEAD, error=error, attempts=self.attempts + 1, request=None)


class Ruling(NamedTuple):
    """A decision about one record, with the reason in words."""

    place: Place
    decision: Decision
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Records given up; and keys (topic, partition, key) of which nothing waits any more."""

    places: Sequence[Place]
    free: Sequence[tuple[str, int, bytes]]


_COLUMNS = (
    "topic, partition, record_offset, key, value, header_names, header_values, timestamp_ms, state, error, attempts,"
    " (extract(epoch FROM parked_at) * 1000)::bigint AS parked_at_ms, request"
)
_OF_GENERATION = "FROM readmodel.parked WHERE projection = $1 AND generation = $2"


async def parked(connection: Any, projection: str, generation: int, topic: str, partition: int) -> list[Parked]:
    """Everything that waits of one partition, in offset order."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} {_OF_GENERATION} AND topic = $3 AND partition = $4 ORDER BY record_offset",
        *(projection, generation, topic, partition),
    )
    return [_parked(row) for row in rows]


async def parked_of_key(connection: Any, projection: str, generation: int, record: Parked) -> list[Parked]:
    """Everything that waits of the record's key, in offset order; of a record without key itself alone."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} {_OF_GENERATION} AND topic = $3 AND partition = $4"
        " AND (key = $5 OR (key IS NULL AND record_offset = $6)) ORDER BY record_offset",
        *(projection, generation, record.topic, record.partition, record.key, record.offset),
    )
    return [_parked(row) for row in rows]


async def asked(connection: Any, projection: str, generation: int) -> set[str]:
    """What an operator wants done: retry, drop."""
    rows = await connection.fetch(f"SELECT DISTINCT request {_OF_GENERATION} AND request IS NOT NULL",
                                  *(projection, generation))  # fmt: skip
    return {row["request"] for row in rows}


async def requested(connection: Any, projection: str, generation: int) -> list[Parked]:
    """What an operator wants retried or dropped, in offset order a partition."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} {_OF_GENERATION} AND request IS NOT NULL"
        " ORDER BY topic, partition, record_offset LIMIT 500",
        *(projection, generation),
    )
    return [_parked(row) for row in rows]


async def rulings(connection: Any, projection: str) -> tuple[dict[Place, Decision], dict[Place, str]]:
    """Every decision about records of the projection; and why, of those that were set aside."""
    rows = await connection.fetch(
        "SELECT topic, partition, record_offset, decision,"
        " CASE WHEN decision IN ('set_aside', 'unread') THEN error END AS reason"
        " FROM readmodel.dead_letters WHERE projection = $1",
        projection,
    )
    places = [(row["topic"], row["partition"], row["record_offset"]) for row in rows]
    return (
        {place: Decision(row["decision"]) for place, row in zip(places, rows, strict=True)},
        {place: row["reason"] for place, row in zip(places, rows, strict=True) if row["reason"] is not None},
    )


async def skipped(connection: Any, projection: str) -> list[Place]:
    """The records that are to be stepped over."""
    rows = await connection.fetch(
        "SELECT topic, partition, record_offset FROM readmodel.dead_letters"
        " WHERE projection = $1 AND decision = 'skipped'",
        projection,
    )
    return [(row["topic"], row["partition"], row["record_offset"]) for row in rows]


async def set_rulings(connection: Any, projection: str, made: Iterable[Ruling]) -> None:
    """Note decisions; a later one about the same record replaces the earlier."""
    await connection.executemany(
        "INSERT INTO readmodel.dead_letters (projection, topic, partition, record_offset, error, decision)"
        " VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (projection, topic, partition, record_offset)"
        " DO UPDATE SET decision = excluded.decision, error = excluded.error",
        [(projection, *ruling.place, ruling.reason, ruling.decision.value) for ruling in made],
    )


async def park(connection: Any, projection: str, generation: int, records: Iterable[Parked]) -> None:
    """Keep records; one that waits already is as this one says from now on, but keeps the time it was parked."""
    await connection.executemany(
        "INSERT INTO readmodel.parked (projection, generation, topic, partition, record_offset, key, value,"
        " header_names, header_values, timestamp_ms, state, error, attempts)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        " ON CONFLICT (projection, generation, topic, partition, record_offset) DO UPDATE"
        " SET state = excluded.state, error = excluded.error, attempts = excluded.attempts, request = NULL",
        [
            (
                *(projection, generation, *record.place, record.key, record.value),
                *([name for name, _ in record.headers], [value for _, value in record.headers]),
                *(record.timestamp_ms, record.state.value, record.error, record.attempts),
            )
            for record in records
        ],
    )


async def release(connection: Any, projection: str, generation: int, places: Collection[Place]) -> None:
    """These wait no longer; a failure of theirs that was set aside is history, so nothing is noted of it any more."""
    arrays = [list(column) for column in zip(*places, strict=True)]
    gone = "(topic, partition, record_offset) IN (SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[]))"
    await connection.execute(
        f"DELETE FROM readmodel.parked WHERE projection = $1 AND {gone} AND generation = $5",
        *(projection, *arrays, generation),
    )
    await connection.execute(
        f"DELETE FROM readmodel.dead_letters WHERE projection = $1 AND {gone} AND decision IN ('set_aside', 'unread')",
        *(projection, *arrays),
    )


_OF_LIVE = (
    "FROM readmodel.parked p JOIN readmodel.projections r ON r.name = p.projection AND r.live_generation = p.generation"
    " WHERE p.projection = $1"
)


async def of_live(
    connection: Any, projection: str, states: Collection[str], limit: int
) -> tuple[list[Parked], int, int]:
    """Records that wait in the live generation in one of these states, in order; how many wait in any, and of how many
    something is asked.
    """
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} {_OF_LIVE} AND state = ANY ($2) ORDER BY topic, partition, record_offset LIMIT $3",
        *(projection, list(states), limit),
    )
    counts = await connection.fetchrow(f"SELECT count(*), count(request) {_OF_LIVE}", projection)
    return [_parked(row) for row in rows], int(counts[0]), int(counts[1])


async def of_live_at(connection: Any, projection: str, place: Place) -> Parked | None:
    """The record that waits there in the live generation."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} {_OF_LIVE} AND topic = $2 AND partition = $3 AND record_offset = $4", projection, *place
    )
    return None if row is None else _parked(row)


async def ask(connection: Any, projection: str, what: str, places: Collection[Place] | None) -> list[Place]:
    """Note that records of the live generation (None: all dead or early ones) should be retried or dropped."""
    rows = await connection.fetch(
        "UPDATE readmodel.parked SET request = $2 WHERE (projection, generation, topic, partition, record_offset)"
        f" IN (SELECT p.projection, p.generation, p.topic, p.partition, p.record_offset {_OF_LIVE}"
        "  AND (($3 AND p.state IN ('dead', 'early')) OR (topic, partition, record_offset)"
        "   IN (SELECT * FROM unnest($4::text[], $5::int[], $6::bigint[]))))"
        " RETURNING topic, partition, record_offset",
        *(projection, what, places is None),
        *([place[column] for place in places or ()] for column in range(3)),
    )
    return [(row["topic"], row["partition"], row["record_offset"]) for row in rows]


def _parked(row: Any) -> Parked:
    return Parked(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        key=row["key"],
        value=row["value"],
        headers=tuple(zip(row["header_names"], row["header_values"], strict=True)),
        timestamp_ms=row["timestamp_ms"],
        state=State(row["state"]),
        error=row["error"],
        attempts=row["attempts"],
        parked_at_ms=row["parked_at_ms"],
        request=row["request"],
    )
