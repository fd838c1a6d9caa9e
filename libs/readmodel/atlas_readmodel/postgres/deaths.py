"""Over which records processes died: who reads a partition, and which records it is about to handle.

A process that ends in order lets go of its partitions. One that finds that the reader before it did not, and that the
position has not moved since that began, has reason to be careful: it then marks records before it handles them. Marks
cost a round trip each, so nobody makes any without that reason.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from atlas_readmodel.postgres.topic_ids import Partition, columns_of
from atlas_readmodel.waiting.parking import Place

_OF_PARTITIONS = """
 FROM unnest($4::text[], $5::int[]) AS taken (topic, partition)
 WHERE position.projection = $1 AND position.generation = $2
   AND position.topic = taken.topic AND position.partition = taken.partition
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """From a record on so many are about to be handled by `reader`; `attempts`: by how many, one after the other."""

    records: int
    attempts: int
    reader: str

    def deaths(self, reader: str) -> int:
        """How many of them died, as `reader` sees it."""
        return self.attempts - (reader == self.reader)


async def take_over(
    connection: Any, projection: str, generation: int, reader: str, partitions: Collection[Partition]
) -> dict[Partition, int]:
    """From now on `reader` reads these. Gives how many before it ended there without letting go or getting on."""
    rows = await connection.fetch(
        "UPDATE readmodel.positions position SET reader = $3, began_at = next_offset,"
        " deaths = CASE WHEN reader IS NULL OR began_at IS DISTINCT FROM next_offset THEN 0"
        "   WHEN reader = $3 THEN deaths ELSE deaths + 1 END"
        f"{_OF_PARTITIONS} RETURNING position.topic, position.partition, deaths",
        *(projection, generation, reader, *columns_of(partitions)),
    )
    return {(row["topic"], row["partition"]): row["deaths"] for row in rows}


async def let_go(
    connection: Any, projection: str, generation: int, reader: str, partitions: Collection[Partition]
) -> None:
    """`reader` ends in order, or others read these from now on."""
    await connection.execute(
        f"UPDATE readmodel.positions position SET reader = NULL, deaths = 0{_OF_PARTITIONS} AND position.reader = $3",
        *(projection, generation, reader, *columns_of(partitions)),
    )
    await connection.execute("DELETE FROM readmodel.failures WHERE projection = $1 AND error = $2", projection, reader)


async def mark(connection: Any, projection: str, place: Place, records: int, reader: str) -> None:
    """`reader` is about to handle so many records from there on."""
    await connection.execute(
        "INSERT INTO readmodel.failures (projection, topic, partition, record_offset, attempts, error, records)"
        " VALUES ($1, $2, $3, $4, 1, $5, $6) ON CONFLICT (projection, topic, partition, record_offset) DO UPDATE"
        " SET attempts = failures.attempts + (failures.error <> excluded.error)::int, error = excluded.error,"
        "   records = excluded.records",
        *(projection, *place, reader, records),
    )


async def unmark(connection: Any, projection: str, places: Iterable[Place]) -> None:
    """These have been handled."""
    await connection.executemany(
        "DELETE FROM readmodel.failures WHERE projection = $1 AND topic = $2 AND partition = $3 AND record_offset = $4",
        [(projection, *place) for place in places],
    )


async def marks(connection: Any, projection: str) -> Mapping[Place, Mark]:
    """The marks that were made and not taken off."""
    rows = await connection.fetch(
        "SELECT topic, partition, record_offset, records, attempts, error FROM readmodel.failures"
        " WHERE projection = $1",
        projection,
    )
    return {
        (row["topic"], row["partition"], row["record_offset"]): Mark(row["records"], row["attempts"], row["error"])
        for row in rows
    }
