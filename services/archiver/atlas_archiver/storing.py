"""Storing one segment, and saying what is known of it: where it lost, and what was gone before it."""

import structlog
from aiokafka import TopicPartition
from atlas_archive.segments import Segment, Stored, store_segment
from atlas_archive.store import ObjectStore
from atlas_kafka.fates import Transient

from atlas_archiver import metrics
from atlas_archiver.topics import TopicFacts

log = structlog.get_logger(__name__)


async def store_one(store: ObjectStore, facts: TopicFacts, segment: Segment, writer: str) -> Stored:
    """Store a segment of the topic that is there now. Raises Transient when it was made again meanwhile."""

    async def confirm() -> None:
        # The records were fetched after the incarnation was first asked for and before it is asked for now: if it is
        # the same, none of them can be of another one.
        now = await facts.incarnations([segment.path.topic])
        if now[segment.path.topic] != segment.path.incarnation:
            raise Transient(f"{segment.path.topic} was deleted and made again")

    with metrics.STORE_SECONDS.time():
        stored = await store_segment(store, segment, writer, confirm)
    if not stored.won:
        metrics.CONFLICTS.labels(segment.path.topic).inc()
        log.warning("another writer was first", key=stored.manifest.key, writer=stored.manifest.writer)
    return stored


def name_gone(tp: TopicPartition, next_offset: int, log_start: int) -> None:
    """Say which offsets were gone from the topic before they were archived, if any were."""
    gone = max(0, log_start - next_offset)
    metrics.GONE.labels(tp.topic, tp.partition).set(gone)
    if gone:
        log.error(
            "offsets were gone from the topic before they were archived",
            topic=tp.topic,
            partition=tp.partition,
            first_offset=next_offset,
            last_offset=log_start - 1,
            way_out="atlas archive accept, if that is meant",
        )
