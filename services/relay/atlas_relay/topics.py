"""What the brokers say about topics: how many partitions, that there is no such topic, or what it does not take."""

import asyncio
import re
import time
from collections.abc import Collection, Sequence

from aiokafka import AIOKafkaClient
from atlas_errors.policy import Transient
from atlas_outbox.relaying.sent import Row

# A topic made a moment ago may not be known to every broker yet.
_SECOND_LOOK_S = 0.3
# How long what a topic does not take is believed; rows for it are parked at once meanwhile.
_BELIEVED_FOR_S = 10.0
# Kafka's own rule. What does not fit is not even asked for: the client can't put a name of 32 KiB into a request.
_NAME = re.compile(r"(?!\.{1,2}\Z)[a-zA-Z0-9._-]{1,249}\Z")
_SHOWN_CHARS = 100


class Topics:
    """Topics as one lane knows them; what is against one outlives a producer, its metadata does not.

    `own` is the relay's own topic, onto which no row goes.
    """

    def __init__(self, max_record_bytes: int, own: str = "") -> None:
        self._max_record_bytes = max_record_bytes
        self._own = own
        # What is against each row of a topic, and what is against those of so many bytes; each with its end.
        self._against: dict[str, tuple[str, float]] = {}
        self._limits: dict[str, tuple[int, str, float]] = {}
        self._client: AIOKafkaClient | None = None
        self._tracked: set[str] = set()

    async def learn(self, client: AIOKafkaClient, topics: Collection[str]) -> None:
        """Ask for the topics not known yet. Raises Transient when no broker answers."""
        self._forget_old()
        if client is not self._client:
            self._client, self._tracked = client, set()
        wanted = [topic for topic in topics if not self._is_known(client, topic)]
        for pause_s in (0.0, _SECOND_LOOK_S):
            if not wanted:
                return
            await asyncio.sleep(pause_s)
            for topic in wanted:
                self._track(client, topic)
            if not await client.force_metadata_update():
                raise Transient("no broker answers")
            wanted = [topic for topic in wanted if not client.cluster.partitions_for_topic(topic)]
        for topic in wanted:
            denied = topic in client.cluster.unauthorized_topics
            self.deny(topic, f"not authorised for topic {topic!r}" if denied else f"unknown topic {topic!r}")
        if wanted:
            # Else the client asks for them, in vain, every few seconds.
            self._tracked.difference_update(wanted)
            client.set_topics({*self._tracked, *([self._own] if self._own else [])})

    def deny(self, topic: str, reason: str) -> None:
        """The topic takes nothing, for now."""
        self._against[topic] = reason, time.monotonic() + _BELIEVED_FOR_S

    def too_large(self, topic: str, size: int, reason: str) -> None:
        """The topic refused a single record for its size: for now it gets none of so many bytes or more."""
        lowest = min(size, self._limits.get(topic, (size, "", 0.0))[0])
        self._limits[topic] = lowest, reason, time.monotonic() + _BELIEVED_FOR_S

    def forget_missing(self) -> None:
        """Look again: an operator may have made or altered the topic before sending rows again."""
        self._against.clear()
        self._limits.clear()

    def suspects(self, rows: Sequence[Row]) -> bool:
        """Whether there is a reason against any of them."""
        limit = self._max_record_bytes
        if self._against or self._limits:
            return True
        return any(len(row[4]) + len(row[5] or b"") + len(row[6]) > limit for row in rows)

    def reason_against(self, row: Row) -> str | None:
        """Why the row can't be sent as far as can be told without trying; its topic has been learned."""
        if self._against and row[3] in self._against:
            return self._against[row[3]][0]
        size = len(row[4]) + len(row[5] or b"") + len(row[6])
        if size > self._max_record_bytes:
            return f"the record has {size} bytes, the limit is {self._max_record_bytes}"
        if self._limits and size >= self._limits.get(row[3], (size + 1,))[0]:
            return f"the record has {size} bytes, which the topic does not take: {self._limits[row[3]][1]}"
        return None

    def _is_known(self, client: AIOKafkaClient, topic: str) -> bool:
        if topic == self._own:
            self.deny(topic, f"{topic} is the relay's own topic")
            return True
        if topic in self._against:
            return True
        if client.cluster.partitions_for_topic(topic):
            self._track(client, topic)
            return True
        if not _NAME.match(topic):
            shown = topic if len(topic) <= _SHOWN_CHARS else f"{topic[:_SHOWN_CHARS]}…"
            self.deny(topic, f"{shown!r} is no name of a topic: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
            return True
        return False

    def _track(self, client: AIOKafkaClient, topic: str) -> None:
        """Have the client go on knowing it: one that tracks nothing knows all topics, until it tracks another one."""
        if topic not in self._tracked:
            self._tracked.add(topic)
            client.add_topic(topic)

    def _forget_old(self) -> None:
        now = time.monotonic()
        if self._against:
            self._against = {topic: each for topic, each in self._against.items() if each[1] > now}
        if self._limits:
            self._limits = {topic: each for topic, each in self._limits.items() if each[2] > now}
