"""Giving up thousands of records that wait, set by set: none of them is loaded."""

from collections.abc import Mapping
from typing import Any

from atlas_readmodel.waiting.parking import Dropped, Place

Partition = tuple[str, int]

# The last argument: how many at most. What was decided before about a record that is dropped counts no more.
_DROP = """
WITH chosen AS (
    SELECT topic, partition, record_offset FROM readmodel.parked
    WHERE projection = $1 AND generation = $2 AND request = 'drop'
      AND (topic, partition) IN (SELECT * FROM unnest($3::text[], $4::int[])) LIMIT $5
), gone AS (
    DELETE FROM readmodel.parked parked USING chosen
    WHERE parked.projection = $1 AND parked.generation = $2 AND parked.topic = chosen.topic
      AND parked.partition = chosen.partition AND parked.record_offset = chosen.record_offset
    RETURNING parked.topic, parked.partition, parked.record_offset, parked.key, parked.error
), ruled AS (
    INSERT INTO readmodel.dead_letters (projection, topic, partition, record_offset, error, decision)
    SELECT $1, topic, partition, record_offset, coalesce(error, ''), 'dropped' FROM gone
    ON CONFLICT (projection, topic, partition, record_offset) DO UPDATE SET decision = 'dropped'
)
SELECT topic, partition, record_offset, key FROM gone"""
# Of each key the first record that still waits, if it only waited behind one that is gone.
_FIRST = """
WITH keys AS (SELECT * FROM unnest($3::text[], $4::int[], $5::bytea[]) AS k (topic, partition, key)),
first AS (
    SELECT DISTINCT ON (p.topic, p.partition, p.key) p.topic, p.partition, p.key, p.record_offset, p.state
    FROM readmodel.parked p JOIN keys k USING (topic, partition, key)
    WHERE p.projection = $1 AND p.generation = $2 AND p.state <> 'early'
    ORDER BY p.topic, p.partition, p.key, p.record_offset
), asked AS (
    UPDATE readmodel.parked p SET request = coalesce(p.request, 'retry') FROM first
    WHERE p.projection = $1 AND p.generation = $2 AND p.topic = first.topic AND p.partition = first.partition
      AND p.record_offset = first.record_offset AND first.state = 'behind'
)
SELECT topic, partition, key FROM first"""


async def drop(
    connection: Any, projection: str, generation: int, expected: Mapping[Partition, int], most: int
) -> Dropped | None:
    """Within the caller's transaction; None, and nothing is done, where the positions are not as expected."""
    partitions = [*expected]
    topics, numbers = [topic for topic, _ in partitions], [number for _, number in partitions]
    held = await connection.fetch(
        "SELECT FROM readmodel.positions position JOIN unnest($3::text[], $4::int[], $5::bigint[])"
        "   AS expected (topic, partition, next_offset) USING (topic, partition, next_offset)"
        " WHERE position.projection = $1 AND position.generation = $2 AND position.writable FOR UPDATE OF position",
        *(projection, generation, topics, numbers, [expected[partition] for partition in partitions]),
    )
    if len(held) != len(expected):
        return None
    gone = await connection.fetch(_DROP, projection, generation, topics, numbers, most)
    places: list[Place] = [(row["topic"], row["partition"], row["record_offset"]) for row in gone]
    keys = {(row["topic"], row["partition"], row["key"]) for row in gone if row["key"] is not None}
    if not keys:
        return Dropped(places, ())
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = await connection.fetch(_FIRST, projection, generation, *columns)
    return Dropped(places, [*keys - {(row["topic"], row["partition"], row["key"]) for row in rows}])
