"""Partitions whose readers stand before an open transaction. Pure: time comes in as an argument.

Every transaction holds back the last stable offset for as long as it is open, the relay's for some milliseconds. It is
told once that offset has stood still for longer than an ordinary transaction takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from atlas_contracts.values.timestamps import rfc3339
from atlas_kafka.cluster.transactions import OpenTransaction


@dataclass(frozen=True, slots=True)
class Blockade:
    """An open transaction that holds back a partition: since when (epoch milliseconds), how many offsets, and whose.

    `since` is the transaction's start where its coordinator tells, else when it was seen first. `transaction` is None
    where the brokers do not tell.
    """

    topic: str
    partition: int
    since: int
    records: int
    transaction: OpenTransaction | None

    def seconds(self, now_ms: int) -> float:
        """For how long."""
        return max(0.0, round((now_ms - self.since) / 1000, 1))

    @property
    def whose(self) -> str:
        """The transaction in words."""
        if self.transaction is None:
            return "an unknown producer"
        if self.transaction.transactional_id is None:
            return f"producer id {self.transaction.producer_id}, which no coordinator knows"
        hanging = ", hanging: its coordinator has ended it" if self.transaction.hanging else ""
        return f"transactional id {self.transaction.transactional_id}{hanging}"

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """What GET /lag and `atlas lag --json` show."""
        transaction = self.transaction
        return {
            "topic": self.topic,
            "partition": self.partition,
            "since": _time(self.since),
            "seconds": self.seconds(now_ms),
            "records": self.records,
            "transactional_id": transaction.transactional_id if transaction else None,
            "producer_id": transaction.producer_id if transaction else None,
            "timeout_s": transaction.timeout_ms / 1000 if transaction and transaction.timeout_ms else None,
            "hanging": transaction.hanging if transaction else None,
            "text": f"blocked by a transaction since {_time(self.since)}, of {self.whose}",
        }


class StandStill:
    """How long each partition's last stable offset has stood below its high watermark."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._seen: dict[TopicPartition, tuple[int, float]] = {}

    def look(self, ends: Mapping[TopicPartition, tuple[int, int]], now: float) -> dict[TopicPartition, float]:
        """Since when (on the clock of `now`, seconds) each partition has stood still, for those that did so for long.

        `ends` is the last stable offset and the high watermark, of every partition that is looked at.
        """
        seen: dict[TopicPartition, tuple[int, float]] = {}
        for partition, (stable, high) in ends.items():
            if stable < high:
                before = self._seen.get(partition)
                seen[partition] = before if before is not None and before[0] == stable else (stable, now)
        self._seen = seen
        return {partition: since for partition, (_, since) in seen.items() if now - since >= self._after_s}


def _time(epoch_ms: int) -> str | None:
    try:
        return rfc3339(epoch_ms)
    except ValueError:
        return None
