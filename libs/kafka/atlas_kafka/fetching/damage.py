"""Batches that can't be read: damaged on the broker's disk, or made so that nobody can take them apart.

aiokafka raises out of the middle of a poll: what it has taken of other partitions by then is lost for good, and the
batch comes again and again. Here the partition alone waits, is tried again, and is then stepped over by whoever reads.
"""

import weakref
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from atlas_errors.policy import describe
from atlas_kafka_format.batches import LENGTH_AT, SPAN

from atlas_kafka.internals.fetching import FetchResult, move_position, partition_of, put_records, records_of

# A fetch may have been damaged on its way, and another replica may have the batch whole.
ATTEMPTS = 3
RETRY_EVERY_S = 1.0


@dataclass(slots=True)
class Damage:
    """A batch of a partition that could not be read from offset `at` on, and why; `attempts` so far."""

    at: int
    reason: str
    attempts: int = 0
    retry_at: float = 0.0


class Damages:
    """The damaged batches that have been met, by partition: those are not fetched until they are tried again."""

    def __init__(self) -> None:
        self.waiting: dict[TopicPartition, Damage] = {}
        self._met: dict[TopicPartition, Damage] = {}

    def meet(self, place: TopicPartition, at: int, error: Exception) -> None:
        """A batch could not be read, perhaps again."""
        before = self._met.get(place)
        damage = before if before is not None and before.at == at else Damage(at, "")
        damage.reason = describe(error)
        damage.attempts += 1
        self.waiting[place] = self._met[place] = damage

    def again(self, place: TopicPartition) -> None:
        """It may be fetched again."""
        self.waiting.pop(place, None)


class Buffer(OrderedDict[TopicPartition, Any]):
    """Stands in for the fetcher's buffer of answers: each gives what can be read of it, and tells of the rest."""

    # None: aiokafka's own behaviour.
    damages: Damages | None = None

    def __setitem__(self, partition: TopicPartition, result: Any) -> None:
        if self.damages is not None and isinstance(result, FetchResult):
            # No class of its own, for the fetcher asks for this very one. And weakly: a cycle would hold the answer's
            # bytes until the collector finds it.
            result.getall = partial(_take, weakref.proxy(result), self.damages)
        super().__setitem__(partition, result)


def _take(result: Any, damages: Damages, max_records: int | None = None) -> list[Any]:
    """FetchResult.getall, but an error is never raised past records that were read."""
    place = partition_of(result)
    if not result.check_assignment(place) or not result.has_more():
        return []
    taken: list[Any] = []
    records = records_of(result)
    try:
        for record in records:
            taken.append(record)
            if max_records is not None and len(taken) >= max_records:
                move_position(result)
                return taken
    except Exception as error:  # noqa: BLE001 - whatever a codec raises
        if not taken:
            damages.meet(place, records.next_fetch_offset, error)
    move_position(result)
    put_records(result, None)
    return taken


def end_of(data: bytes, offset: int) -> int:
    """The offset after the batch that `offset` is in, from the bytes of a fetch that begins with that batch.

    A batch that says something impossible about itself ends where the next one begins, else with `offset`.
    """
    if len(data) < SPAN.size:
        return offset + 1
    base, length, _epoch, _magic, _crc, _attributes, delta = SPAN.unpack_from(data)
    end = base + delta + 1
    following = LENGTH_AT + length
    if 0 < following <= len(data) - SPAN.size:
        next_base = SPAN.unpack_from(data, following)[0]
        if next_base > offset:
            end = min(end, next_base) if end > offset else next_base
    return end if offset < end <= base + 2**31 else offset + 1
