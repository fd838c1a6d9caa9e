"""The first record at or after an offset, of many offsets of many partitions in one request.

Offsets alone don't say when a record was written, nor whether there is one: markers of transactions and what was
aborted take offsets too.
"""

import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import KafkaError
from atlas_errors.policy import describe

from atlas_kafka.fetching.foreignrecords import accept_foreign_records, records_in
from atlas_kafka.internals.fetching import READ_COMMITTED, READ_UNCOMMITTED, FetchRequest
from atlas_kafka.wire.fetch import FetchOfIds

# Of one request, and of each of them: an ordinary batch of an ordinary producer, and little enough that an answer is
# taken apart in a few milliseconds.
PARTITIONS = 100
PARTITION_BYTES = 20_000
# Of one partition alone, where a batch was too large for that: a broker gives one batch at least, whatever its size.
ALONE_BYTES = 1024 * 1024

log = structlog.get_logger(__name__)


class First(NamedTuple):
    """At `offset` is a record of time `timestamp` (epoch milliseconds, -1: it has none); None: before `offset` is none.

    `open`: it lies behind an open transaction, so it may yet be aborted.
    """

    offset: int
    timestamp: int | None
    open: bool = False


class Sought(NamedTuple):
    """Offsets of a partition, ascending, whose first records are sought. It ends at `stable`, and for good at `end`."""

    place: TopicPartition
    topic_id: str
    offsets: Sequence[int]
    stable: int
    end: int


async def first_records(
    client: AIOKafkaClient, sought: Sequence[Sought], leader_of: Callable[[TopicPartition], int | None]
) -> AsyncIterator[tuple[TopicPartition, dict[int, First]]]:
    """What was found of each partition by offset, as it is found; what can't be read now is left out.

    What is committed is read as such; from the last stable offset on, what is there. Raises KafkaError.
    """
    accept_foreign_records()
    by_leader: dict[int, list[Sought]] = defaultdict(list)
    for each in sought:
        leader = leader_of(each.place)
        if leader is not None and leader >= 0:
            by_leader[leader].append(each)
    for leader, all_of_it in by_leader.items():
        for at in range(0, len(all_of_it), PARTITIONS):
            some = {each.place: _Search(each) for each in all_of_it[at : at + PARTITIONS]}
            await _look(client, leader, some)
            for place, search in some.items():
                yield place, search.found


class _Search:
    """What is still to be found of a partition, and where to read on."""

    def __init__(self, sought: Sought) -> None:
        self.sought = sought
        self.found: dict[int, First] = {}
        self._left = list(sought.offsets)
        self.at = self._left[0]
        self.failed = self.alone = False

    @property
    def committed(self) -> bool:
        """Whether what is committed is read."""
        return self.at < self.sought.stable

    @property
    def over(self) -> bool:
        """Whether there is nothing more to be found."""
        return self.failed or not self._left

    def take(self, batches: bytes, aborted: Collection[tuple[int, int]]) -> None:
        """Look for what is left in a part of the log that begins at `at` or before."""
        if not batches:
            self.failed, self.alone = self.alone, True
            return
        committed = self.committed
        records = records_in(self.sought.place, batches, self.at, aborted if committed else None)
        for record in records:
            if record.offset >= self.sought.end:
                self._read_to(self.sought.end, committed)  # written since
                return
            while self._left and self._left[0] <= record.offset:
                self.found[self._left.pop(0)] = First(record.offset, record.timestamp, not committed)
            if not self._left:
                return
        self.alone = False
        self._read_to(records.next_fetch_offset, committed)

    def _read_to(self, reached: int, committed: bool) -> None:
        """There was no record from what is left on to here."""
        self.failed = reached <= self.at
        self.at = max(self.at, reached)
        if self.at >= self.sought.end:
            for offset in self._left:
                self.found[offset] = First(self.at, None, not committed)
            self._left.clear()
        elif self._left and self._left[0] > self.at:
            self.at = self._left[0]


async def _look(client: AIOKafkaClient, leader: int, searches: Mapping[TopicPartition, _Search]) -> None:
    while left := [each for each in searches.values() if not each.over]:
        alone = [each for each in left if each.alone]
        part = alone[:1] or left
        # Isolation goes for a request as a whole.
        part = [each for each in part if each.committed is part[0].committed]
        limit = ALONE_BYTES if alone else PARTITION_BYTES
        topics: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for each in part:
            topics[each.sought.place.topic].append((each.sought.place.partition, each.at, limit))
        ids = {each.sought.place.topic: each.sought.topic_id for each in part}
        isolation = READ_COMMITTED if part[0].committed else READ_UNCOMMITTED
        limits = (0, 1, limit * len(part), isolation)
        response = await client.send(leader, FetchOfIds(FetchRequest(*limits, list(topics.items())), ids))
        names = {uuid.UUID(topic_id): topic for topic, topic_id in ids.items()}
        answered = set()
        for topic_id, partitions, _tags in response.topics:
            for number, code, _high, _stable, _first, aborted, _replica, batches, _more in partitions:
                place = TopicPartition(names[topic_id], number)
                answered.add(place)
                search = searches[place]
                if code:
                    search.failed = True  # moved, deleted or made again meanwhile: the next round asks again
                else:
                    _take(search, batches or b"", [(producer, begun) for producer, begun, _tags in aborted or ()])
        for each in part:
            each.failed = each.failed or each.sought.place not in answered


def _take(search: _Search, batches: bytes, aborted: Collection[tuple[int, int]]) -> None:
    try:
        search.take(batches, aborted)
    except (KafkaError, ValueError) as error:
        search.failed = True
        place = search.sought.place
        log.warning("first record not read", place=f"{place.topic}/{place.partition}", error=describe(error))
