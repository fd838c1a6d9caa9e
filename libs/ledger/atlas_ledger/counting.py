"""Counting the records of short stretches of a topic, within a budget; what was counted is not read again."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from atlas_ledger.tally import Stretch

# Offsets read in one round, of all topics together: some 2 s of a core.
BUDGET = 100_000
# Of one stretch. A broker that is slow leaves the rest for the next round.
TIMEOUT_S = 5.0
_LOOK_EVERY_MS = 20
_KEPT = 10_000

# Topic, its id, partition.
Place = tuple[str, str, int]


class Counter:
    """Over one read-committed consumer, which nobody else may use meanwhile."""

    def __init__(self, consumer: AIOKafkaConsumer, budget: int = BUDGET) -> None:
        self._consumer = consumer
        self._budget = budget
        self._known: OrderedDict[tuple[Place, Stretch], int] = OrderedDict()

    async def count(self, wanted: Mapping[Place, Sequence[Stretch]]) -> dict[Place, dict[Stretch, int]]:
        """The records of these stretches, of as many as the budget lets read, short ones first."""
        found: dict[Place, dict[Stretch, int]] = {place: {} for place in wanted}
        left = self._budget
        every = [(stop - start, place, (start, stop)) for place, those in wanted.items() for start, stop in those]
        for length, place, stretch in sorted(every):
            number = self._known.get((place, stretch))
            if number is None:
                if length > left:
                    continue
                left -= length
                number = await self._read(TopicPartition(place[0], place[2]), *stretch)
            if number is not None:
                found[place][stretch] = number
                self._known[place, stretch] = number
                self._known.move_to_end((place, stretch))
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        self._consumer.unsubscribe()  # else it goes on fetching
        return found

    async def _read(self, tp: TopicPartition, start: int, stop: int) -> int | None:
        """None where the topic does not have all of it any more, or does not give it in time."""
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        records, deadline = 0, time.monotonic() + TIMEOUT_S
        # The position goes on past what is no record, such as a transaction's marker.
        while await self._consumer.position(tp) < stop:
            if time.monotonic() > deadline:
                return None
            found = await self._consumer.getmany(tp, timeout_ms=_LOOK_EVERY_MS)
            records += sum(start <= record.offset < stop for record in found.get(tp, ()))
        first: int = (await self._consumer.beginning_offsets([tp]))[tp]
        return records if first <= start else None
