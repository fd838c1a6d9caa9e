"""What the archiver counts."""

import time

from atlas_runtime.observing.traces import exemplar
from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("atlas_archiver_records_total", "Records archived", ["topic"])
BYTES = Counter("atlas_archiver_bytes_total", "Bytes of data objects archived", ["topic"])
SEGMENTS = Counter("atlas_archiver_segments_total", "Segments archived", ["topic"])
CONFLICTS = Counter("atlas_archiver_conflicts_lost_total", "Segments that another writer had archived first", ["topic"])
NEXT_OFFSET = Gauge("atlas_archiver_next_offset", "First offset that is not archived yet", ["topic", "partition"])
GONE = Gauge(
    "atlas_archiver_gone_offsets",
    "Offsets that were gone before they were archived, at the archive's end or its beginning",
    ["topic", "partition"],
)
LOST_WITH_TOPIC = Counter(
    "atlas_archiver_lost_with_topic_offsets_total",
    "Offsets that were on a topic when it was deleted and are not archived",
    ["topic"],
)
HELD_BYTES = Gauge("atlas_archiver_held_bytes", "Bytes held of records that are not archived yet")
OLDEST_HELD = Gauge("atlas_archiver_oldest_unflushed_seconds", "Time that the oldest record held has been held for")
STORE_SECONDS = Histogram(
    "atlas_archiver_store_seconds",
    "Time from closing a segment to its manifest",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SEGMENT_RECORDS = Histogram(
    "atlas_archiver_segment_records", "Records of a segment", buckets=(1, 10, 100, 1000, 10_000, 100_000, 1_000_000)
)
SEGMENT_BYTES = Histogram(
    "atlas_archiver_segment_bytes",
    "Bytes of a segment's data objects",
    buckets=(10_000, 100_000, 1_000_000, 10_000_000, 100_000_000),
)
RECORD_AGE = Histogram(
    "atlas_archiver_record_age_seconds",
    "From the timestamp of a segment's oldest record until its manifest stood",
    ["topic"],
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 86_400),
)


def archived(topic: str, records: int, size: int, oldest_ms: int) -> None:
    """A segment is in the archive. `oldest_ms`: the least timestamp in it, epoch milliseconds; negative: none."""
    SEGMENT_RECORDS.observe(records)
    SEGMENT_BYTES.observe(size)
    if oldest_ms >= 0:
        RECORD_AGE.labels(topic).observe(max(0.0, time.time() - oldest_ms / 1000), exemplar())
