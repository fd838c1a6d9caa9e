"""What the read models in PostgreSQL say of the records that they were given: for who holds them to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Of the generation that readers see. A record that waits is in `parked`; one that is decided on, in `dead_letters`;
# one that was set aside, in both.
_LIVE = """
SELECT g.projection, g.topics, p.topic, p.partition, p.topic_id, p.next_offset, p.events
FROM readmodel.projections r
JOIN readmodel.generations g ON g.projection = r.name AND g.generation = r.live_generation
LEFT JOIN readmodel.positions p ON p.projection = g.projection AND p.generation = g.generation
"""
_DECIDED = """
SELECT projection, topic, partition, decision, count(*) AS records FROM readmodel.dead_letters GROUP BY 1, 2, 3, 4
"""
_WAITING = """
SELECT p.projection, p.topic, p.partition, count(*) AS records FROM readmodel.parked p
JOIN readmodel.projections r ON r.name = p.projection AND r.live_generation = p.generation
WHERE p.state <> 'dead' GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a projection stands in a partition: `events` records before `next_offset` were handled.

    Of these some were set aside (`dead_lettered`), given up (`dropped`), stepped over (`skipped`), or wait for others.
    `topic_id`: of the topic that it counts in; None where it was noted by a version that knew no ids.
    """

    projection: str
    topic: str
    partition: int
    topic_id: str | None
    next_offset: int
    events: int
    dead_lettered: int = 0
    dropped: int = 0
    skipped: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Accounts:
    """Every position, and which topics each projection reads."""

    positions: list[Position]
    topics: Mapping[str, frozenset[str]]


async def read_accounts(connection: Any) -> Accounts:
    """Of every live generation, in one snapshot; takes time with the records that wait, at most."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        live = await connection.fetch(_LIVE)
        decided = _counts(await connection.fetch(_DECIDED))
        waiting = _counts(await connection.fetch(_WAITING))
    positions = []
    for row in live:
        if row["topic"] is None:
            continue  # nothing read yet
        place = (row["projection"], row["topic"], row["partition"])
        positions.append(
            Position(
                *place,
                row["topic_id"],
                row["next_offset"],
                row["events"],
                decided.get((*place, "set_aside"), 0) + decided.get((*place, "unread"), 0),
                decided.get((*place, "dropped"), 0),
                decided.get((*place, "skipped"), 0),
                waiting.get(place, 0),
            )
        )
    return Accounts(positions, {row["projection"]: frozenset(row["topics"]) for row in live})


def _counts(rows: Sequence[Any]) -> dict[tuple[Any, ...], int]:
    return {tuple(row)[:-1]: row["records"] for row in rows}
