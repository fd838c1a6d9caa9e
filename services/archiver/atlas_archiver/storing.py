"""Storing one segment, and saying what is known of it: where it lost, and what was gone before it or never came."""

import time
from datetime import UTC, datetime

import structlog
from aiokafka import TopicPartition
from atlas_archive.chain.ends import End, Hole, state_end
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.store import ObjectStore
from atlas_archive.writing.segments import Segment, Stored, store_segment
from atlas_archive.writing.steps import in_thread
from atlas_kafka.consuming.endings import Ended
from atlas_runtime.metrics import timed
from atlas_runtime.observing.batch_spans import Facts, batch_span

from atlas_archiver import metrics

log = structlog.get_logger(__name__)

_WAY_OUT = "atlas archive accept, if that is meant"


async def store_one(store: ObjectStore, segment: Segment, writer: str, *, counted: bool = True) -> Stored:
    """Store a segment, whatever has become of its topic: its records were fetched by the topic's id.

    Size and age of one that is not `counted` are not measured.
    """
    path = segment.path
    begun = time.perf_counter()
    await in_thread(segment.finish)
    facts: Facts = {"topic": path.topic, "partition": str(path.partition), "records": segment.records}
    with (
        batch_span(f"archive {path.topic}", "process", lambda: [(text, {}) for text in segment.found], facts),
        timed(metrics.STORE_SECONDS, begun),
    ):
        stored = await store_segment(store, segment, writer)
        if stored.won and counted:
            manifest = stored.manifest
            metrics.archived(path.topic, manifest.records, manifest.size, manifest.min_timestamp_ms)
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
            way_out=_WAY_OUT,
        )


async def name_end(store: ObjectStore, tp: TopicPartition, ended: Ended, writer: str) -> Hole | None:
    """State in the archive how far a deleted topic's partition was read, and say what is missing, if anything is.

    Raises what the store raises, and BadManifest.
    """
    path = PartitionPath(tp.topic, ended.topic_id, tp.partition)
    last = await last_manifest(store, path)
    archived = last.next_offset if last is not None else 0
    reached = max(archived, ended.read_to) if archived >= ended.given else archived
    if ended.end == 0:
        return None  # it never had a record
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    await state_end(store, path, End(tp.partition, reached, max(reached, ended.end), writer, now))
    if reached >= ended.end:
        return None
    metrics.LOST_WITH_TOPIC.labels(tp.topic).inc(ended.end - reached)
    log.error(
        "a topic was deleted before these offsets were archived",
        topic=tp.topic,
        topic_id=ended.topic_id,
        partition=tp.partition,
        first_offset=reached,
        last_offset=ended.end - 1,
        way_out=_WAY_OUT,
    )
    return Hole(tp.partition, reached, ended.end)
