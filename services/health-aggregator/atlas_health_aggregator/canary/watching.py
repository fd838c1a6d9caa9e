"""Sees canaries where they can be seen without the gateway: on their topics, and in what the archiver has committed."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_errors.backoff import Backoff
from atlas_errors.policy import Fate, Transient, describe, fate_of
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import open_reader, topic_ranges

from atlas_health_aggregator.canary.journeys import Place

POLL_MS = 500
ASK_TIMEOUT_S = 10.0
# The archiver closes a segment after seconds: no need to know its end better than this.
COMMITS_EVERY_S = 1.0

log = structlog.get_logger(__name__)

OnRecord = Callable[[Place, bytes | None], None]
# When the look began that found nothing more.
OnLook = Callable[[float], None]


class TopicWatch:
    """Reads the topics of canaries from where they end at its first start, read-committed as any consumer."""

    def __init__(self, brokers: str, client_id: str, topics: Collection[str]) -> None:
        self._brokers = brokers
        self._client_id = client_id
        self._topics = sorted(topics)
        self._next: dict[TopicPartition, int] = {}
        self.began = asyncio.Event()  # what comes on the topics is seen from now on

    async def run(self, on_record: OnRecord, wanted: Callable[[float], bool], on_look: OnLook) -> None:
        """Until cancelled, tell of every record; where a look is `wanted`, also when all that was there has been told.

        Without brokers it goes on where it was as soon as they are back.
        """
        backoff = Backoff()
        while True:
            try:
                async with open_reader(self._brokers, self._client_id) as consumer:
                    places = await self._place(consumer)
                    self.began.set()
                    backoff.reset()
                    while True:
                        await self._look(consumer, places, on_record, on_look if wanted(time.monotonic()) else None)
            except Exception as error:
                if fate_of(error) is not Fate.TRANSIENT:
                    raise
                log.warning("topics of canaries can't be read", error=describe(error))
                await asyncio.sleep(backoff.next_s())

    async def _place(self, consumer: AIOKafkaConsumer) -> Sequence[TopicPartition]:
        ranges = await topic_ranges(consumer, self._topics)
        if missing := set(self._topics) - {place.topic for place in ranges}:
            raise Transient(f"no topic {', '.join(sorted(missing))}")
        consumer.assign(list(ranges))
        for place, (first, end) in ranges.items():
            known = self._next.get(place, end)
            consumer.seek(place, known if first <= known <= end else end)
        return list(ranges)

    async def _look(
        self,
        consumer: AIOKafkaConsumer,
        places: Sequence[TopicPartition],
        on_record: OnRecord,
        on_look: OnLook | None,
    ) -> None:
        """One poll. 1. Where all that there is has to be seen: how far does that go? 2. Read. 3. Did that get there?"""
        began, ends = time.monotonic(), {}
        if on_look is not None:  # 1
            async with asyncio.timeout(ASK_TIMEOUT_S):
                ends = await consumer.end_offsets(list(places))
        for place, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():  # 2
            for record in records:
                on_record(Place(place.topic, place.partition, record.offset), record.value)
        self._next = {place: await consumer.position(place) for place in places}
        if on_look is not None and all(self._next[place] >= end for place, end in ends.items()):  # 3
            on_look(began)


async def watch_commits(
    brokers: str,
    client_id: str,
    group: str,
    wanted: Callable[[], Collection[Place]],
    on_commits: Callable[[Mapping[tuple[str, int], int], float], None],
) -> None:
    """Until cancelled, tell once a second what the group has committed of the partitions that are `wanted`, and when
    that was asked. Nothing is asked while none is.
    """
    backoff = Backoff()
    while True:
        try:
            async with open_admin(brokers, client_id) as admin:
                while True:
                    if places := {TopicPartition(place.topic, place.partition) for place in wanted()}:
                        began = time.monotonic()
                        async with asyncio.timeout(ASK_TIMEOUT_S):
                            found = await admin.list_consumer_group_offsets(group, partitions=sorted(places))
                        on_commits({(at.topic, at.partition): meta.offset for at, meta in found.items()}, began)
                        backoff.reset()
                    await asyncio.sleep(COMMITS_EVERY_S)
        except Exception as error:
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            log.warning("commits of the archiver can't be read", error=describe(error))
            await asyncio.sleep(backoff.next_s())
