"""How many rows of each topic are in the outbox: what is committed and not on its topic."""

from dataclasses import asdict, dataclass
from typing import Any

from atlas_outbox.relaying.session import Connection

# Rows looked at; with more the counts are of these alone.
LOOKED_AT = 10_000

_COUNTS = """
SELECT topic, count(*) FILTER (WHERE here) AS waiting, count(*) FILTER (WHERE NOT here) AS parked,
    coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE here)), 0)::float8 AS oldest_s
FROM (
    (SELECT topic, created_at, true AS here FROM outbox.records LIMIT $1)
    UNION ALL (SELECT topic, created_at, false FROM outbox.parked LIMIT $1)
) AS rows GROUP BY topic ORDER BY topic
"""


@dataclass(frozen=True, slots=True)
class TopicRows:
    """Rows of a topic: `waiting` to be sent, the oldest since `oldest_s`, and `parked`."""

    topic: str
    waiting: int
    parked: int
    oldest_s: float

    def as_json(self) -> dict[str, Any]:
        """With the names of the fields."""
        return asdict(self)


async def rows_by_topic(connection: Connection) -> list[TopicRows]:
    """Of topics with any row, by name; exact up to LOOKED_AT rows."""
    return [TopicRows(*row) for row in await connection.fetch(_COUNTS, LOOKED_AT)]
