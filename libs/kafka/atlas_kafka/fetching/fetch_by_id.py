"""Fetching by a topic's id instead of its name, so that no record of a topic made anew is taken for one of the old.

aiokafka speaks Fetch up to version 11, which names topics: a consumer that stands at offset 3 of a topic goes on at
offset 3 of another one of that name, and nobody is told. Version 13, which every broker since Kafka 3.1 speaks, takes
ids: the broker answers that it does not know the id, however quickly the topic was made again.

It stands in for the client of aiokafka's fetcher.
"""

import asyncio
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import LeaderNotAvailableError, OffsetOutOfRangeError, for_code

from atlas_kafka.fetching.damage import Buffer, Damages, end_of
from atlas_kafka.internals.fetching import READ_UNCOMMITTED, Fetcher, FetchRequest, FetchResult
from atlas_kafka.metrics import incoming
from atlas_kafka.wire.fetch import FetchAnswer, FetchOfIds

# What a broker answers when it has no topic of this id, or another of its name.
UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID = 100, 103
# While there is nothing to fetch, the fetcher asks again at once; this is how often it then does.
NOTHING_TO_FETCH_S = 0.1
# To see where a batch ends and the next begins; a broker gives one batch at least, whatever its size.
DAMAGED_FETCH_BYTES = 1024 * 1024


class FetchById:
    """What a consumer fetches, by id: nothing of a topic whose id is not in `ids`.

    `outdated` holds the partitions whose place is not there any more: the topic is gone or was made anew, or the
    offset is out of its range; nothing is fetched until `begin` is called again. `failing` says why a partition can't
    be read at the moment, `answered` when (monotonic) it last could.
    """

    def __init__(self, fetcher: Fetcher, group: str) -> None:
        self._fetcher = fetcher
        self._group = group
        self._client = fetcher.client
        self.ids: Mapping[str, str] = {}
        self.outdated: set[TopicPartition] = set()
        self.failing: dict[TopicPartition, str] = {}
        self.answered: dict[TopicPartition, float] = {}
        self.damages = Damages()
        # Nothing is fetched of these; whoever gives the set changes it.
        self.paused: Collection[TopicPartition] = ()
        buffer = Buffer(fetcher.buffer)
        buffer.damages = self.damages
        fetcher.buffer = buffer
        self.begun_at = time.monotonic()
        self._updating: asyncio.Future[None] | None = None

    def begin(self, ids: Mapping[str, str]) -> None:
        """Read these topics from now on, by name with their ids; what was fetched of the ones before is dropped."""
        self.ids = dict(ids)
        self.outdated, self.failing, self.answered = set(), {}, {}
        self.begun_at = time.monotonic()
        self.damages.waiting.clear()
        self._fetcher.buffer.clear()

    def drop(self, place: TopicPartition) -> None:
        """Forget what was fetched of the partition and not taken."""
        self._fetcher.buffer.pop(place, None)

    def take(self, place: TopicPartition) -> list[Any]:
        """What was fetched of the partition and not taken, up to a batch that can't be read."""
        result = self._fetcher.buffer.pop(place, None)
        return result.getall() if isinstance(result, FetchResult) else []

    def reach(self, place: TopicPartition) -> tuple[int, int]:
        """Up to where an assigned partition was taken, and where it ends by the last answer about it; 0: not known."""
        return self._fetcher.reach(place)

    def buffered(self, place: TopicPartition) -> bool:
        """Whether records of the partition wait to be taken."""
        return place in self._fetcher.buffer

    async def end_of_batch(self, place: TopicPartition, offset: int) -> int:
        """Where the batch that `offset` is in ends, by its own word or where the next begins. Raises KafkaError."""
        node = self._client.cluster.leader_for_partition(place)
        if node is None or node < 0:
            raise LeaderNotAvailableError(str(place))
        limits = (0, 1, DAMAGED_FETCH_BYTES, READ_UNCOMMITTED)
        request = FetchRequest(*limits, [(place.topic, [(place.partition, offset, DAMAGED_FETCH_BYTES)])])
        response = await self._client.send(node, FetchOfIds(request, self.ids))
        for _topic, partitions, _tags in response.topics:
            for _number, code, _high, _stable, _first, _aborted, _replica, records, _tags in partitions:
                if code:
                    raise for_code(code)(str(place))
                return end_of(records or b"", offset)
        return offset + 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def force_metadata_update(self) -> asyncio.Future[None]:
        """As the client's own, a moment later: while a topic has no leader the fetcher asks as fast as it is answered,
        and each answer is a line of aiokafka's log.
        """
        if self._updating is None or self._updating.done():
            loop = asyncio.get_running_loop()
            self._updating = loop.create_future()
            loop.call_later(NOTHING_TO_FETCH_S, self._update_metadata, self._updating)
        return self._updating

    def _update_metadata(self, done: asyncio.Future[None]) -> None:
        self._client.force_metadata_update()
        if not done.done():
            done.set_result(None)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """As the client's own; a FetchRequest goes out by id."""
        if not isinstance(request, FetchRequest):
            return await self._client.send(node_id, request, **options)
        ids = self.ids
        if self.outdated or not ids:
            # All of it begins again in a moment, at the places that are right then.
            await asyncio.sleep(NOTHING_TO_FETCH_S)
            return FetchAnswer([])
        without: Collection[TopicPartition] = self.damages.waiting
        if self.paused:
            without = {*without, *self.paused}
            self.answered.update(dict.fromkeys(self.paused, time.monotonic()))  # silence about these is meant
        asked = FetchOfIds(request, ids, without)
        if not asked.topics:
            await asyncio.sleep(NOTHING_TO_FETCH_S)
            return FetchAnswer([])
        response = await self._client.send(node_id, asked, **options)
        if ids is not self.ids:
            return FetchAnswer([])  # begun again meanwhile: this is of before
        names = {uuid.UUID(topic_id): name for name, topic_id in ids.items()}
        return FetchAnswer(
            [(names[found], self._heard(names[found], parts)) for found, parts, _tags in response.topics]
        )

    def _heard(self, topic: str, partitions: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        now, heard, size = time.monotonic(), [], 0
        for number, code, high, stable, first, aborted, replica, records, _tags in partitions:
            place = TopicPartition(topic, number)
            if code in (UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID, OffsetOutOfRangeError.errno):
                self.outdated.add(place)
                continue
            if code:
                self.failing[place] = for_code(code).__name__
            else:
                self.failing.pop(place, None)
                self.answered[place] = now
            transactions = [(producer, begun) for producer, begun, _tags in aborted or ()]
            heard.append((number, code, high, stable, first, transactions, replica, records or b""))
            size += len(records or b"")
        if size:
            incoming(topic, self._group).fetched(size)
        return heard


def fetch_by_id(consumer: AIOKafkaConsumer, group: str) -> FetchById:
    """From now on `consumer` fetches by id, and nothing until it is told ids. Call it right after `start()`."""
    fetcher = Fetcher(consumer)
    fetcher.client = by_id = FetchById(fetcher, group)
    return by_id
