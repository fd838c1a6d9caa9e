"""What the archiver counts."""

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
STORE_SECONDS = Histogram("atlas_archiver_store_seconds", "Time from closing a segment to its manifest")
