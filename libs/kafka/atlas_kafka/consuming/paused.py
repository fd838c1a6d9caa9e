"""Partitions that a sink can't take for a fault of their own: nothing is fetched of them, the others go on."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog
from aiokafka import TopicPartition
from atlas_errors.policy import describe

from atlas_kafka.metrics import PAUSED

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 1.0
RETRY_MAX_S = 30.0
NAMED_MAX = 3


@dataclass(slots=True)
class Pause:
    """Why a partition is not read: at its offset `at` (None: no telling), after so many `attempts`.

    `retry_at` is monotonic. `until_passed`: it is over only when something beyond `at` is durable.
    """

    at: int | None
    reason: str
    attempts: int
    retry_at: float
    until_passed: bool


class Paused:
    """The paused partitions of one consumer. The sink pauses and tries again; the session seeks and goes on.

    Each is said with its place in the log, in `reason` and in a metric, from the first failure until it is over.
    """

    def __init__(self, group: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._group = group
        self._clock = clock
        self._met: dict[TopicPartition, Pause] = {}
        # Nothing is fetched of these.
        self.places: set[TopicPartition] = set()
        self._resumed: dict[TopicPartition, int] = {}

    def pause(self, place: TopicPartition, at: int | None, error: BaseException, *, until_passed: bool = False) -> None:
        """Read nothing of the partition for a while: 1 s at first, after each further failure longer, at most 30 s."""
        before = self._met.get(place)
        attempts = before.attempts + 1 if before is not None else 1
        wait_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(attempts - 1, 16))
        self._met[place] = Pause(at, describe(error), attempts, self._clock() + wait_s, until_passed)
        self.places.add(place)
        self._resumed.pop(place, None)
        PAUSED.labels(place.topic, place.partition, self._group).set(1)
        log.error(
            "partition paused, the others go on",
            group=self._group,
            topic=place.topic,
            partition=place.partition,
            offset=at,
            reason=describe(error),
            attempt=attempts,
            retry_in_s=wait_s,
        )

    def waits(self, place: TopicPartition) -> bool:
        """Whether the partition is not to be tried again yet."""
        return place in self.places and self._clock() < self._met[place].retry_at

    def due(self) -> list[TopicPartition]:
        """Those to be tried again now."""
        return [place for place in self.places if place not in self._resumed and not self.waits(place)]

    def resume(self, place: TopicPartition, offset: int) -> None:
        """It can be taken again, from `offset` on: the session is to seek there."""
        self._resumed[place] = offset

    def take_resumed(self) -> Mapping[TopicPartition, int]:
        """What `resume` was called with since; it is the caller's to seek and to call `go_on`."""
        resumed, self._resumed = self._resumed, {}
        return resumed

    def go_on(self, place: TopicPartition) -> None:
        """It is read again. What was wrong stands until it was passed, where it can come again."""
        if place not in self.places:
            return
        self.places.discard(place)
        if not self._met[place].until_passed:
            self._over(place)

    def passed(self, place: TopicPartition, next_offset: int) -> None:
        """All before `next_offset` is durable, or gone."""
        pause = self._met.get(place)
        if pause is not None and place not in self.places and (pause.at is None or next_offset > pause.at):
            self._over(place)

    def keep(self, places: Collection[TopicPartition]) -> None:
        """Forget all others: they are somebody else's."""
        self.forget([place for place in self._met if place not in places])

    def forget(self, places: Collection[TopicPartition]) -> None:
        """They are somebody else's."""
        for place in places:
            self.places.discard(place)
            self._resumed.pop(place, None)
            if self._met.pop(place, None) is not None:
                PAUSED.remove(place.topic, place.partition, self._group)

    def reason(self) -> str | None:
        """All of it in a line, the first three by name; None when nothing is paused."""
        parts = [
            f"{place.topic}/{place.partition} is paused at offset {'?' if pause.at is None else pause.at}"
            f" ({pause.reason}), tried {pause.attempts} times"
            for place, pause in sorted(self._met.items(), key=lambda item: item[0])
        ]
        rest = f"; and {len(parts) - NAMED_MAX} more" if len(parts) > NAMED_MAX else ""
        return "; ".join(parts[:NAMED_MAX]) + rest if parts else None

    def _over(self, place: TopicPartition) -> None:
        self.forget([place])
        log.info("partition goes on", group=self._group, topic=place.topic, partition=place.partition)
