"""A backlog in one transaction, for a benchmark to drain."""

import time
from collections.abc import Iterator
from uuid import uuid4

import asyncpg
from atlas_outbox.writer import OutboxRecord

COLUMNS = ("key_hash", "shard", "topic", "key", "value", "headers")
KEYS = 10_000
_COPY_ROWS = 100_000


def rows(topic: str, count: int, size: int) -> Iterator[tuple[object, ...]]:
    """Rows over KEYS keys with values of `size` bytes and the header `ce_id`."""
    value = b"v" * size
    prepared = [
        OutboxRecord(topic, f"key-{number:06}".encode(), value, [("ce_id", str(uuid4()).encode())]).row()
        for number in range(min(KEYS, count))
    ]
    return (prepared[number % len(prepared)] for number in range(count))


async def fill(dsn: str, topic: str, count: int, size: int) -> float:
    """Commit so many rows in one transaction, so that all are there at once; the moment of it (perf_counter)."""
    connection = await asyncpg.connect(dsn)
    try:
        source = rows(topic, count, size)
        transaction = connection.transaction()
        await transaction.start()
        for first in range(0, count, _COPY_ROWS):
            part = [next(source) for _ in range(min(_COPY_ROWS, count - first))]
            await connection.copy_records_to_table("records", schema_name="outbox", columns=COLUMNS, records=part)
        begun = time.perf_counter()
        await transaction.commit()
        return begun
    finally:
        await connection.close()
