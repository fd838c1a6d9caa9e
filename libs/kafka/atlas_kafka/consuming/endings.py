"""The end of a topic that was deleted: what was fetched of it can't be read again, and what was not is lost.

Records are fetched by the topic's id, so what was fetched is of the old topic, whatever is there now.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from atlas_kafka.fetching.fetch_by_id import FetchById


@dataclass(frozen=True, slots=True)
class Ended:
    """A partition of a topic that is gone.

    `given`: the offset after the last record that the sink was given; `read_to`: up to which it was read, which passes
    over markers and aborted records too; `end`: where it ended when the brokers last spoke of it, so that what lies
    from `read_to` to there was never fetched.
    """

    topic_id: str
    given: int
    read_to: int
    end: int


# Told that nothing more can be read of these. What it raises has it asked again, before anything else is read.
OnEnded = Callable[[Mapping[TopicPartition, Ended]], Awaitable[None]]


class InHand:
    """What was fetched and the sink was not given yet, and whether that follows what it was given without a hole."""

    def __init__(self, fetching: FetchById) -> None:
        self._fetching = fetching
        self.records: dict[TopicPartition, list[Any]] = {}
        # Since the last seek nothing that was polled has been passed over, and no work on it has failed.
        self.whole = False

    def take(self, places: Collection[TopicPartition]) -> dict[TopicPartition, list[Any]]:
        """All that is at hand of these, polled or still in the fetcher's buffer, in order."""
        taken = {}
        for place in places:
            records = [*self.records.pop(place, ()), *self._fetching.take(place)]
            if records:
                taken[place] = records
        return taken

    def ended(self, place: TopicPartition, topic_id: str, given: int, end: int) -> Ended:
        """How far the partition was read; `end`: where it was known to end when it was begun with."""
        position, high = self._fetching.reach(place)
        return Ended(topic_id, given, max(given, position) if self.whole else given, max(given, end, high))
