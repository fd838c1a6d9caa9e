"""What the Kafka side of a service counts; exposed by its /metrics."""

from prometheus_client import Counter, Gauge

RECORDS_IN = Counter("atlas_kafka_records_in", "Records taken from a topic and made durable", ["topic", "group"])
RECORDS_OUT = Counter("atlas_kafka_records_out", "Records acknowledged by the broker", ["topic"])
DEAD_LETTERS = Counter("atlas_kafka_dead_letters", "Records sent to a dead-letter topic", ["topic", "group"])
REBALANCES = Counter("atlas_kafka_rebalances", "Times a consumer's assignment changed", ["group"])
RECORDS_LOST = Counter(
    "atlas_kafka_records_lost", "Records that retention deleted before this group read them", ["topic", "group"]
)
BATCHES_TOO_LARGE = Counter(
    "atlas_kafka_batches_too_large",
    "Batches that hold too much to be taken apart, and are read as one record",
    ["topic"],
)
RECORDS_REFUSED = Counter("atlas_kafka_records_refused", "Records that the broker refused for what they are", ["topic"])
PRODUCERS_RENEWED = Counter("atlas_kafka_producers_renewed", "New producer ids after a broker lost a sequence")
TOPICS_CHANGED = Counter(
    "atlas_kafka_topics_changed", "Times a topic that was read was deleted or made anew", ["topic", "group"]
)
BATCHES_SKIPPED = Counter(
    "atlas_kafka_batches_skipped", "Damaged batches that were stepped over, unread", ["topic", "group"]
)
PAUSED = Gauge(
    "atlas_kafka_paused_partitions",
    "1 for a partition that is not read, or only read again on trial, for a fault of its own",
    ["topic", "partition", "group"],
)
