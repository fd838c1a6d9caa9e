"""What lag is measured on: topics with records of known times, and groups that have read some of them."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.cluster.members import Coordinators
from atlas_kafka.internals.protocol import Int16, Int32, Int64, Request
from atlas_kafka.producing.producer import Delivery, Outgoing, Producer, send_all
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, body, partitions_of
from atlas_local.waiting import wait_until

TOPICS, PARTITIONS, GROUPS = 20, 50, 200
RECORDS = 20
# Of all groups: those that have read everything, and those that go on reading.
CAUGHT_UP, READING = 0.5, 0.1
# Topics that are written to, how often, and how many records to each partition at once.
BUSY_TOPICS, EVERY_S, AT_ONCE = 2, 0.5, 2
COMMITS_EVERY_S = 3.0


class _Committed(FlexibleResponse, api=(8, 8)):
    SCHEMA = body(("throttle_time_ms", Int32), partitions_of(("topic", TEXT), ("partition", Int32), ("error", Int16)))


class _CommitV8(FlexibleRequest, answered=_Committed):
    SCHEMA = body(
        ("group", TEXT),
        ("generation", Int32),
        ("member", TEXT),
        ("instance", TEXT),
        partitions_of(("topic", TEXT), ("partition", Int32), ("offset", Int64), ("epoch", Int32), ("metadata", TEXT)),
    )


class _Commit(Request[_CommitV8]):  # type: ignore[misc]
    """For a group without members, of a thousand partitions in one request: a consumer takes a second for that."""

    API_KEY = 8

    def __init__(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        topics: dict[str, list[tuple[object, ...]]] = defaultdict(list)
        for (topic, partition), offset in offsets.items():
            topics[topic].append((partition, offset, -1, None, {}))
        self._values: tuple[object, ...] = (
            group,
            -1,
            "",
            None,
            [(topic, parts, {}) for topic, parts in topics.items()],
            {},
        )

    def build(self, request_struct_class: type[_CommitV8]) -> _CommitV8:
        return request_struct_class(*self._values)


@dataclass
class Truth:
    """The time of each record, by partition and offset (epoch milliseconds): offsets begin at 0, without gaps."""

    times: dict[TopicPartition, list[int]] = field(default_factory=dict)

    def lag(self, place: TopicPartition, committed: int, at_ms: int) -> tuple[int, float]:
        """Records that a group has not read, and the age of the first of them in seconds."""
        times = self.times[place]
        return len(times) - committed, (at_ms - times[committed]) / 1000 if committed < len(times) else 0.0


class Load:
    """Of one benchmark: everything on it is this one's."""

    def __init__(self, brokers: str, producer: Producer) -> None:
        self._brokers = brokers
        self._producer = producer
        self.truth = Truth()
        self.topics = [f"bench.lag-{number:02}" for number in range(TOPICS)]
        self.groups = [f"bench-{number:03}" for number in range(GROUPS)]
        self._coordinators = Coordinators()
        self._random = random.Random(7)  # nosec

    @property
    def reading(self) -> list[str]:
        """The groups that go on reading."""
        return self.groups[: round(GROUPS * READING)]

    async def make(self) -> None:
        """Topics, records whose ages are hours to seconds, and what each group has committed."""
        await ensure_topics(self._brokers, [TopicSpec(topic, PARTITIONS) for topic in self.topics])
        for topic in self.topics:
            await wait_until(f"leaders for {topic}", lambda topic=topic: self._is_there(topic), 60)
        now = time.time_ns() // 1_000_000
        ages_s = [self._random.uniform(10, 20_000) for _ in range(RECORDS)]
        for topic in self.topics:
            await self._send(topic, sorted(now - round(age * 1000) for age in ages_s))
        places = list(self.truth.times)
        for number, group in enumerate(self.groups):
            at = RECORDS if number < GROUPS * CAUGHT_UP else None
            await self._commit(
                group, {place: self._random.randrange(RECORDS) if at is None else at for place in places}
            )

    async def run(self) -> None:
        """Records come to some topics, and some groups read them, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._read())

    async def _commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        client = self._producer.client

        async def committed() -> bool:
            try:
                ((node, _),) = await self._coordinators.requests(client, [group])
                response = await client.send(node, _Commit(group, offsets))
            except KafkaError:  # the topic of the groups is being made
                self._coordinators.forget()
                return False
            return not any(code for _topic, parts, _tags in response.topics for _number, code, _more in parts)

        await wait_until(f"the commits of {group}", committed, 30)

    async def _is_there(self, topic: str) -> bool:
        metadata = await self._producer.client.fetch_all_metadata()
        leaders = [metadata.leader_for_partition(TopicPartition(topic, number)) for number in range(PARTITIONS)]
        return all(leader is not None and leader >= 0 for leader in leaders)

    async def _write(self) -> None:
        while True:
            now = time.time_ns() // 1_000_000
            for topic in self.topics[:BUSY_TOPICS]:
                # Whole, also when this is cancelled: what is on the topic is to be known.
                sending = asyncio.create_task(self._send(topic, [now] * AT_ONCE))
                try:
                    await asyncio.shield(sending)
                finally:
                    await sending
            await asyncio.sleep(EVERY_S)

    async def _read(self) -> None:
        while True:
            for group in self.reading:
                await self._commit(group, self._ends())
                await asyncio.sleep(COMMITS_EVERY_S / len(self.reading))

    def _ends(self) -> Mapping[TopicPartition, int]:
        return {
            place: len(times) for place, times in self.truth.times.items() if place.topic in self.topics[:BUSY_TOPICS]
        }

    async def _send(self, topic: str, times: list[int]) -> None:
        """A record of each of these times to each partition, in order."""
        records = [
            Outgoing(topic, None, b"x" * 50, timestamp_ms=stamp, partition=partition)
            for partition in range(PARTITIONS)
            for stamp in times
        ]
        for record, result in zip(records, await send_all(self._producer, records), strict=True):
            assert isinstance(result, Delivery), result
            of_partition = self.truth.times.setdefault(TopicPartition(topic, record.partition or 0), [])
            assert result.offset == len(of_partition), "written in order, and by nobody else"
            of_partition.append(record.timestamp_ms or 0)
