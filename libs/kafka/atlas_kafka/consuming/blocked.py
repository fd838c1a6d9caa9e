"""Whether a consumer stands before an open transaction, from what its own fetches say. No request is made."""

import time

from aiokafka import AIOKafkaConsumer, TopicPartition

# An ordinary transaction takes milliseconds.
BLOCKED_AFTER_S = 5.0
LOOK_EVERY_S = 1.0
# Partitions that are named; of more, the number.
NAMED_MAX = 3


class BlockedWatch:
    """Looks at a read-committed consumer's partitions once a second and tells which have stood still for long."""

    def __init__(self, after_s: float = BLOCKED_AFTER_S) -> None:
        self._after_s = after_s
        self._looked_at = 0.0
        # The last stable offset below the high watermark, and since when it stands there.
        self._seen: dict[TopicPartition, tuple[int, float]] = {}
        self._reason: str | None = None

    async def look(self, consumer: AIOKafkaConsumer) -> str | None:
        """Why the consumer waits, or None."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return self._reason
        self._looked_at = now
        seen: dict[TopicPartition, tuple[int, float]] = {}
        blocked: dict[TopicPartition, float] = {}
        for partition in consumer.assignment():
            high, stable = consumer.highwater(partition), consumer.last_stable_offset(partition)
            if high is None or stable is None or not 0 <= stable < high:
                continue
            before = self._seen.get(partition)
            since = before[1] if before is not None and before[0] == stable else now
            seen[partition] = (stable, since)
            # A fetch has answered, so the position is known. Below the stable offset there is still something to read.
            if now - since >= self._after_s and await consumer.position(partition) >= stable:
                blocked[partition] = now - since
        self._seen = seen
        self._reason = _in_words(blocked) if blocked else None
        return self._reason


def _in_words(blocked: dict[TopicPartition, float]) -> str:
    names = [f"{each.topic}/{each.partition}" for each in sorted(blocked)]
    shown = ", ".join(names[:NAMED_MAX]) + (f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else "")
    return f"waiting: blocked by an open transaction on {shown} for {max(blocked.values()):.0f} s; atlas lag says whose"
