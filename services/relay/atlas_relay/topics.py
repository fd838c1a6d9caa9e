"""What the brokers say about topics: how many partitions, or that there is no such topic."""

import asyncio
import time
from collections.abc import Collection, Sequence

from aiokafka.client import AIOKafkaClient
from atlas_kafka.fates import Transient
from atlas_outbox.sent import Row

# A topic made a moment ago may not be known to every broker yet.
_SECOND_LOOK_S = 0.3
# How long a missing topic is believed to be missing; rows for it are parked at once meanwhile.
_MISSING_FOR_S = 10.0


class Topics:
    """Topics as one lane knows them; `Missing` topics outlive a producer, its metadata does not."""

    def __init__(self, max_record_bytes: int) -> None:
        self._max_record_bytes = max_record_bytes
        self._missing: dict[str, float] = {}

    async def learn(self, client: AIOKafkaClient, topics: Collection[str]) -> None:
        """Ask for the topics not known yet. Raises Transient when no broker answers."""
        wanted = [topic for topic in topics if not self._is_known(client, topic)]
        for pause_s in (0.0, _SECOND_LOOK_S):
            if not wanted:
                return
            await asyncio.sleep(pause_s)
            for topic in wanted:
                client.add_topic(topic)
            if not await client.force_metadata_update():
                raise Transient("no broker answers")
            wanted = [topic for topic in wanted if not client.cluster.partitions_for_topic(topic)]
        self._missing |= dict.fromkeys(wanted, time.monotonic() + _MISSING_FOR_S)

    def forget_missing(self) -> None:
        """Look again: an operator may have made the topic before sending rows again."""
        self._missing.clear()

    def suspects(self, rows: Sequence[Row]) -> bool:
        """Whether there is a reason against any of them."""
        limit = self._max_record_bytes
        return bool(self._missing) or any(len(row[4]) + len(row[5] or b"") + len(row[6]) > limit for row in rows)

    def reason_against(self, row: Row) -> str | None:
        """Why the row can't be sent as far as can be told without trying; its topic has been learned."""
        if self._missing and row[3] in self._missing:
            return f"unknown topic {row[3]!r}"
        size = len(row[4]) + len(row[5] or b"") + len(row[6])
        if size > self._max_record_bytes:
            return f"the record has {size} bytes, the limit is {self._max_record_bytes}"
        return None

    def _is_known(self, client: AIOKafkaClient, topic: str) -> bool:
        if client.cluster.partitions_for_topic(topic):
            self._missing.pop(topic, None)
            return True
        if self._missing.get(topic, 0.0) > time.monotonic():
            return True
        self._missing.pop(topic, None)
        return False
