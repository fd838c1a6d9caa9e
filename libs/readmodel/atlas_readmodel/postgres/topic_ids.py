"""Which topic a position counts in: its id, for a topic deleted and made again has the name of the one before.

What is known of single records (those that wait, decisions, failed attempts) is kept by topic, partition and offset.
When a position begins anew, the records of the topic before get a name of their own, `orders.events:1c9f7c0b`, so that
none of them is taken for one of the new topic; they still wait, and can be retried or dropped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

# As many characters of an id as tell two of one name apart.
_SHORT = 8
Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Renewal:
    """A partition whose topic was made anew: the id that its position was of (None: not known), the one there is now,
    and how many partitions that has.
    """

    topic: str
    partition: int
    before: str | None
    now: str
    partitions: int

    @property
    def former(self) -> str:
        """The name of the topic before. No topic can have it: Kafka allows no colon."""
        return f"{self.topic}:{(self.before or 'before')[:_SHORT]}"


def present(topic: str) -> str:
    """The name under which a topic is or was known to Kafka."""
    return topic.partition(":")[0]


async def known(connection: Any, projection: str, generation: int) -> dict[Partition, str | None]:
    """The topic id of each position; None where it was noted by a version that knew no ids."""
    rows = await connection.fetch(
        "SELECT topic, partition, topic_id FROM readmodel.positions WHERE projection = $1 AND generation = $2",
        *(projection, generation),
    )
    return {(row["topic"], row["partition"]): row["topic_id"] for row in rows}


def columns_of(partitions: Iterable[Partition]) -> tuple[list[str], list[int]]:
    """Their topics and their numbers, for `unnest`."""
    topics, numbers = [], []
    for topic, number in partitions:
        topics.append(topic)
        numbers.append(number)
    return topics, numbers


async def adopt(
    connection: Any, projection: str, generation: int, ids: Mapping[str, str], ends: Mapping[Partition, int]
) -> None:
    """Give positions without an id the one that their topic has now, where they lie within the partition."""
    places = list(ends)
    await connection.execute(
        "UPDATE readmodel.positions position SET topic_id = there.topic_id"
        " FROM unnest($3::text[], $4::int[], $5::text[], $6::bigint[]) AS there (topic, partition, topic_id, last)"
        " WHERE position.projection = $1 AND position.generation = $2 AND position.topic = there.topic"
        "   AND position.partition = there.partition AND position.topic_id IS NULL AND position.next_offset <= last",
        *(projection, generation),
        *columns_of(places),
        [ids[topic] for topic, _ in places],
        [ends[place] for place in places],
    )


async def renew(connection: Any, projection: str, generation: int, renewals: Iterable[Renewal]) -> None:
    """Within the caller's transaction: these positions, and what is counted beside them, begin at 0 of the topics that
    are there now.

    Positions of partitions that the new topic does not have are forgotten. Nothing is done for a position that is of
    the new topic already.
    """
    by_topic = sorted(renewals, key=lambda each: (each.topic, each.former, each.partition))
    for (topic, former), group in groupby(by_topic, key=lambda each: (each.topic, each.former)):
        of_topic = list(group)
        now = of_topic[0].now
        begun = await connection.fetch(
            "UPDATE readmodel.positions position SET topic_id = $5, next_offset = 0, events = 0"
            " WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = ANY ($4)"
            "   AND topic_id IS DISTINCT FROM $5"
            " RETURNING partition, EXISTS (SELECT FROM readmodel.positions other WHERE other.projection = $1"
            "   AND other.generation <> $2 AND other.topic = $3 AND other.partition = position.partition"
            "   AND other.topic_id = $5) AS told",
            *(projection, generation, topic, [each.partition for each in of_topic], now),
        )
        await connection.execute(
            "UPDATE readmodel.parked SET topic = $5"
            " WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = ANY ($4)",
            *(projection, generation, topic, [row["partition"] for row in begun], former),
        )
        # Decisions are the projection's: where another generation is of the new topic already, they are of that.
        for table in ("dead_letters", "failures"):
            await connection.execute(
                f"UPDATE readmodel.{table} SET topic = $4"
                " WHERE projection = $1 AND topic = $2 AND partition = ANY ($3)",
                *(projection, topic, [row["partition"] for row in begun if not row["told"]], former),
            )
        await connection.execute(
            "DELETE FROM readmodel.positions WHERE projection = $1 AND generation = $2 AND topic = $3"
            " AND partition >= $4 AND topic_id IS DISTINCT FROM $5",
            *(projection, generation, topic, of_topic[0].partitions, now),
        )
