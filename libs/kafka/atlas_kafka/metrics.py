"""What the Kafka side of a service counts; exposed by its /metrics.

What is counted with every batch is looked up by its labels once: see `incoming` and `outgoing`.
"""

import time
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

_RECORDS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
_AGE_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86_400)

RECORDS_IN = Counter("atlas_kafka_records_in", "Records taken from a topic and made durable", ["topic", "group"])
FETCHED_BYTES = Counter(
    "atlas_kafka_fetched_bytes", "Bytes of record batches fetched, as the broker stores them", ["topic", "group"]
)
CONSUME_BATCH = Histogram(
    "atlas_kafka_consume_batch_records",
    "Records of one partition that were handled together",
    ["group"],
    buckets=_RECORDS,
)
RECORD_AGE = Histogram(
    "atlas_kafka_record_age_seconds",
    "From the timestamp of the first record handled together until it had been handled",
    ["topic", "group"],
    buckets=_AGE_S,
)
RECORDS_OUT = Counter("atlas_kafka_records_out", "Records acknowledged by the broker", ["topic"])
PRODUCED_BYTES = Counter("atlas_kafka_produced_bytes", "Bytes of record batches acknowledged by the broker", ["topic"])
PRODUCE_BATCH = Histogram(
    "atlas_kafka_produce_batch_records", "Records of a batch that the broker acknowledged", ["topic"], buckets=_RECORDS
)
PRODUCE_SECONDS = Histogram(
    "atlas_kafka_produce_seconds",
    "From sending a request with record batches to the broker's answer",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
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


class Incoming:
    """What a group counts of a topic that it reads."""

    def __init__(self, topic: str, group: str) -> None:
        self._records, self._bytes = RECORDS_IN.labels(topic, group), FETCHED_BYTES.labels(topic, group)
        self._batch, self._age = CONSUME_BATCH.labels(group), RECORD_AGE.labels(topic, group)

    def fetched(self, size: int) -> None:
        """So many bytes came from the broker."""
        self._bytes.inc(size)

    def handled(self, records: int, first_ms: int) -> None:
        """So many records of a partition were handled, of which the first has this timestamp; negative: it has none."""
        self._records.inc(records)
        self._batch.observe(records)
        if first_ms >= 0:
            self._age.observe(max(0.0, time.time() - first_ms / 1000))


class Outgoing:
    """What is counted of a topic that is written to."""

    def __init__(self, topic: str) -> None:
        self._records, self._bytes = RECORDS_OUT.labels(topic), PRODUCED_BYTES.labels(topic)
        self._batch = PRODUCE_BATCH.labels(topic)

    def acknowledged(self, records: int, size: int) -> None:
        """The broker has a batch of so many records and bytes."""
        self._records.inc(records)
        self._bytes.inc(size)
        self._batch.observe(records)


@cache
def incoming(topic: str, group: str) -> Incoming:
    """The counters of this topic and group; both are names that the service knows, never a caller's own."""
    return Incoming(topic, group)


@cache
def outgoing(topic: str) -> Outgoing:
    """The counters of this topic, which exists."""
    return Outgoing(topic)
