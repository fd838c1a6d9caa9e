"""Finds the first record that a group has not consumed. What was found is read once, not once a round."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_kafka.fetching.foreignrecords import accept_foreign_records
from atlas_kafka.starting import start_whole

from atlas_health_aggregator.judging.lag_rows import Position, Scan, scan_from

# A fetch answers with at least one whole batch whatever this says: one batch is all that is wanted.
FETCH_BYTES = 4096
# How long the broker holds a fetch that finds nothing, e.g. behind a trailing transaction marker.
FETCH_WAIT_MS = 20
SCAN_TIMEOUT_S = 1.0


async def first_unread(
    reader: AIOKafkaConsumer, uncommitted: AIOKafkaConsumer, position: Position, known: Scan | None
) -> Scan | None:
    """Find the first unread record; what was found so far when it takes too long.

    What is committed is read as such; from the last stable offset on, what is there.
    """
    if known is not None and known.clean_until > position.end:
        known = None  # the topic was made anew
    at = scan_from(position, known)
    if at is None:
        return known
    origin = known.origin if known is not None and known.clean_until == at else at
    reached, unread_at = at, None
    if at < position.stable:
        reached, unread_at = await _first_record(reader, position, at, position.stable)
    if unread_at is not None or reached < position.stable or reached >= position.end:
        return Scan(origin, reached, unread_at)
    reached, unread_at = await _first_record(uncommitted, position, reached, position.end)
    return Scan(origin, reached, unread_at, open=True)


async def _first_record(reader: AIOKafkaConsumer, position: Position, at: int, end: int) -> tuple[int, int | None]:
    """Offset and time of the first record in [at, end); else how far there is none, and None."""
    partition = TopicPartition(position.topic, position.partition)
    reader.assign([partition])
    reader.seek(partition, at)
    deadline = time.monotonic() + SCAN_TIMEOUT_S
    reached = at
    while reached < end and time.monotonic() < deadline:
        for records in (await reader.getmany(timeout_ms=FETCH_WAIT_MS, max_records=1)).values():
            return records[0].offset, records[0].timestamp
        reached = await reader.position(partition)
    return reached, None


@asynccontextmanager
async def open_scanner(brokers: str, client_id: str, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group that fetches one batch at a time."""
    accept_foreign_records()
    reader = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    try:
        await start_whole(reader.start())
        yield reader
    finally:
        await reader.stop()
