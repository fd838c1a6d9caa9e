"""The twelve states in which lag is hard to tell, each right to the record and to the second, on the shipped broker.

All of them are made at the same time, and told by one report: what is expected is known from what was produced.

    open transaction    marker at the end    purged    compacted    topic made again    dead group
    newer protocol      share group    never committed    backfilled    paused    skewed clock
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from atlas_health_aggregator.judging.lag_rows import LagRow, LagState
from atlas_health_aggregator.judging.status import WINDOW, Status
from atlas_health_aggregator.lag import LagReader, LagReport
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.producing.producer import Outgoing, Producer, open_producer, send_all
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until

from tests.integration.health_aggregator.java_consumers import newer_consumer, share_consumer, share_offsets
from tests.integration.health_aggregator.newer_member import NewerMember

pytestmark = pytest.mark.integration

COMPACTED = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.001",
    "segment.bytes": "1048576",
    "segment.ms": "100",
    "max.compaction.lag.ms": "1000",
}
APPEND_TIME, CREATE_TIME = {"message.timestamp.type": "LogAppendTime"}, {"message.timestamp.type": "CreateTime"}
DAY_S = 86_400


@dataclass
class World:
    """What was made: connections, and of each topic the times of its records by offset (epoch milliseconds).

    `shared`: what Kafka itself says of the share group.
    """

    name: str
    brokers: str
    admin: AIOKafkaAdminClient
    producer: Producer
    stack: AsyncExitStack
    times: dict[str, dict[int, int]] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)

    def topic(self, state: str) -> str:
        return f"{self.name}.{state}"

    async def produce(self, state: str, ages_s: Sequence[float], key: bytes | None = None) -> None:
        """Records of these ages, one after the other."""
        now, topic = time.time_ns() // 1_000_000, self.topic(state)
        for age_s in ages_s:
            stamp = now - round(age_s * 1000)
            times = self.times.setdefault(topic, {})
            record = Outgoing(topic, key, b"%d" % len(times), timestamp_ms=stamp, partition=0)
            (delivery,) = await send_all(self.producer, [record])
            assert not isinstance(delivery, Exception), delivery
            times[delivery.offset] = stamp

    async def commit(self, state: str, offset: int | tuple[int, str]) -> None:
        """For the state's group, which has no members afterwards."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.brokers, group_id=self.topic(state), enable_auto_commit=False
        )
        await consumer.start()
        try:
            partition = TopicPartition(self.topic(state), 0)
            consumer.assign([partition])
            await consumer.commit({partition: offset})
        finally:
            await consumer.stop()

    async def member(self, state: str) -> AIOKafkaConsumer:
        """A member of the state's group, which stays."""
        consumer = AIOKafkaConsumer(
            self.topic(state), bootstrap_servers=self.brokers, group_id=self.topic(state), enable_auto_commit=False
        )
        await consumer.start()
        self.stack.push_async_callback(consumer.stop)
        await wait_until(f"a partition for {state}", lambda: bool(consumer.assignment()), 30)
        return consumer


async def open_transaction(world: World) -> None:
    """Three records are committed and read; then two of a transaction that stays open, and one that is none of it."""
    await world.produce("open-transaction", [90, 80, 70])
    await world.commit("open-transaction", 3)
    topic = world.topic("open-transaction")
    producer = await world.stack.enter_async_context(open_transactional_producer(world.brokers, "test", topic))
    await producer.begin_transaction()
    for age_s in (60, 50):
        stamp = time.time_ns() // 1_000_000 - age_s * 1000
        sent = await producer.send_and_wait(topic, b"x", partition=0, timestamp_ms=stamp)
        world.times[topic][sent.offset] = stamp
    world.stack.push_async_callback(producer.abort_transaction)
    await world.produce("open-transaction", [40])


async def marker_at_the_end(world: World) -> None:
    topic = world.topic("marker-at-the-end")
    async with open_transactional_producer(world.brokers, "test", topic) as producer:
        await producer.begin_transaction()
        for _ in range(3):
            await producer.send_and_wait(topic, b"x", partition=0)
        await producer.commit_transaction()
    await world.commit("marker-at-the-end", 3)


async def purged(world: World) -> None:
    await world.produce("purged", range(1000, 900, -10))
    await world.commit("purged", 2)
    partition = TopicPartition(world.topic("purged"), 0)
    await world.admin.delete_records({partition: RecordsToDelete(before_offset=7)})


async def compacted(world: World) -> None:
    """Of ten records of a key the last is left; the group stands in the gap."""
    await world.produce("compacted", range(500, 400, -10), key=b"one")
    await world.commit("compacted", 2)
    partition = TopicPartition(world.topic("compacted"), 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=world.brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])

        async def is_gone() -> bool:
            # What is written last is in a segment of its own, which is not compacted.
            await world.produce("compacted", [0], key=b"other")
            consumer.seek(partition, 2)
            return (await consumer.getone(partition)).offset > 2

        await wait_until("the cleaner to compact the topic", is_gone, 50)
    finally:
        await consumer.stop()


async def made_again(world: World) -> None:
    topic = world.topic("made-again")
    old = (await topic_ids(world.admin._client, [topic]))[topic]
    await world.admin.delete_topics([topic])

    async def again() -> bool:
        return bool(await ensure_topics(world.brokers, [TopicSpec(topic, 1)]))

    await wait_until("the topic to be made again", again, 30)
    await world.produce("made-again", [30, 20, 10, 5])
    await world.commit("made-again", (3, old))


async def dead_group(world: World) -> None:
    await world.produce("dead-group", [700, 600, 500, 400, 300])
    await world.commit("dead-group", 1)


async def newer_protocol(world: World) -> None:
    """Kafka's own consumer reads two of five and leaves; another member joins, and commits nothing."""
    await world.produce("newer-protocol", [200, 190, 180, 170, 160])
    topic = world.topic("newer-protocol")
    assert await newer_consumer(world.brokers, topic, topic, 2) == ["0", "1"]
    member = NewerMember(world.admin, topic, topic)
    await member.heartbeat()
    world.stack.push_async_callback(member.leave)


async def share_group(world: World) -> None:
    """A share group takes three records of those that come, from whenever it is there."""
    topic = world.topic("share-group")
    taking = asyncio.create_task(share_consumer(world.brokers, topic, topic, 3))
    while not taking.done():
        await world.produce("share-group", [120])
        await asyncio.wait([taking], timeout=0.3)
    taken = sorted(map(int, await taking))
    await world.produce("share-group", [110, 100])
    world.shared = await share_offsets(world.brokers, topic)
    # Whether its last record was accepted before it left is between Kafka's consumer and Kafka.
    assert int(world.shared["START-OFFSET"]) in {taken[-1], taken[-1] + 1}


async def never_committed(world: World) -> None:
    await world.produce("never-committed", [75, 65, 55])
    await world.member("never-committed")


async def backfilled(world: World) -> None:
    """History is written today: by the producers' clock it is old, by the brokers' it is of now."""
    for state in ("backfilled", "backfilled-appended"):
        await world.produce(state, [DAY_S, DAY_S - 10, DAY_S - 20])
        await world.commit(state, 1)


async def paused(world: World) -> None:
    await world.produce("paused", [95, 85, 75])
    consumer = await world.member("paused")
    partition = TopicPartition(world.topic("paused"), 0)
    await consumer.commit({partition: 1})
    consumer.pause(partition)


async def skewed_clock(world: World) -> None:
    """One producer is half an hour ahead of everybody, another behind."""
    for state, age_s in (("skewed-clock", -1800), ("skewed-clock-behind", 1800)):
        await world.produce(state, [age_s] * 4)
        await world.commit(state, 1)


STATES: Sequence[Callable[[World], Awaitable[None]]] = (
    open_transaction, marker_at_the_end, purged, compacted, made_again, dead_group,
    newer_protocol, share_group, never_committed, backfilled, paused, skewed_clock,
)  # fmt: skip
TOPICS = {
    **{each.__name__.replace("_", "-"): CREATE_TIME for each in STATES},
    "compacted": COMPACTED,
    "backfilled-appended": APPEND_TIME,
    "skewed-clock-behind": CREATE_TIME,
}


@dataclass(frozen=True)
class Found:
    """The rows by state, at the first look and at the last; and the last report."""

    name: str
    times: dict[str, dict[int, int]]
    first: dict[str, LagRow]
    rows: dict[str, LagRow]
    first_at: int
    report: LagReport
    shared: dict[str, str]

    def age_s(self, state: str, offset: int) -> float:
        """How old the record was when the report was taken."""
        return (self.report.taken_at - self.times[f"{self.name}.{state}"][offset]) / 1000


@asynccontextmanager
async def made(servers: Servers) -> AsyncIterator[World]:
    name = f"hard-{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(open_admin(servers.kafka_brokers))
        producer = await stack.enter_async_context(open_producer(servers.kafka_brokers, "test"))
        world = World(name, servers.kafka_brokers, admin, producer, stack)
        topics = [TopicSpec(world.topic(state), 1, config) for state, config in TOPICS.items()]
        await ensure_topics(servers.kafka_brokers, topics)
        stack.push_async_callback(admin.delete_topics, [topic.name for topic in topics])
        async with asyncio.TaskGroup() as group:
            for make in STATES:
                group.create_task(make(world))
        yield world


async def _find(servers: Servers) -> Found:
    async with made(servers) as world:
        settings = HealthAggregatorSettings(
            kafka_brokers=servers.kafka_brokers,
            instance=world.name,
            health_lag_groups=f"{world.name}.*",
            health_lag_interval_s=0.001,
            health_blocked_after_s=0,
        )
        async with LagReader(settings) as lag:
            report = await lag.read()
            first, first_at = _by_state(world, report), report.taken_at
            for _ in range(WINDOW + 2):
                report = await lag.read()
        return Found(world.name, world.times, first, _by_state(world, report), first_at, report, world.shared)


def _by_state(world: World, report: LagReport) -> dict[str, LagRow]:
    return {row.group.removeprefix(f"{world.name}."): row for row in report.rows}


@pytest.fixture(scope="module")
def found(servers: Servers) -> Found:
    return asyncio.run(_find(servers))


# By state: records that wait, and the offset of the first of them (None: there is none).
EXPECTED: dict[str, tuple[int, int | None]] = {
    "open-transaction": (3, 3),
    "marker-at-the-end": (0, None),
    "purged": (3, 7),
    "made-again": (4, 0),
    "dead-group": (4, 1),
    "newer-protocol": (3, 2),
    "never-committed": (3, 0),
    "backfilled": (2, 1),
    "paused": (2, 1),
    "skewed-clock-behind": (3, 1),
}


@pytest.mark.parametrize("state", EXPECTED)
def test_the_lag_is_right_to_the_record_and_to_the_second(found: Found, state: str) -> None:
    records, offset = EXPECTED[state]
    for row in (found.first[state], found.rows[state]):
        assert row.lag_records == records
    expected = 0.0 if offset is None else found.age_s(state, offset)
    assert found.rows[state].lag_seconds == pytest.approx(expected, abs=1)


def test_open_transaction(found: Found) -> None:
    row = found.rows["open-transaction"]
    assert (row.blocked_records, row.stable, row.end) == (3, 3, 6), "told apart, and part of the lag"
    (blockade,) = (each for each in found.report.blockades if each.topic == row.topic)
    assert blockade.transaction is not None
    assert blockade.transaction.transactional_id == row.topic


def test_marker_at_the_end(found: Found) -> None:
    row = found.rows["marker-at-the-end"]
    assert (row.committed, row.end, row.state) == (3, 4, LagState.CAUGHT_UP)


def test_purged(found: Found) -> None:
    row = found.rows["purged"]
    assert (row.records_lost, row.state) == (5, LagState.LOST)


def test_compacted(found: Found) -> None:
    """The first unread record is the one that is left of its key, not the one that was at the commit."""
    row = found.rows["compacted"]
    left = [offset for offset in found.times[row.topic] if offset >= 9]
    assert (row.committed, row.records_lost) == (2, 0)
    assert row.lag_records == len(left)
    assert row.lag_seconds == pytest.approx(found.age_s("compacted", 9), abs=1)


def test_topic_made_again(found: Found) -> None:
    row = found.rows["made-again"]
    assert (row.state, row.committed, row.records_lost) == (LagState.OLD_TOPIC, 3, 0)


def test_dead_group(found: Found) -> None:
    """It goes on growing with the clock."""
    row, before = found.rows["dead-group"], found.first["dead-group"]
    assert (row.state, row.members, row.status) == (LagState.NO_MEMBERS, 0, Status.STOPPED)
    passed_s = (found.report.taken_at - found.first_at) / 1000
    assert row.lag_seconds is not None
    assert before.lag_seconds is not None
    assert row.lag_seconds - before.lag_seconds == pytest.approx(passed_s, abs=0.01)


def test_newer_protocol(found: Found) -> None:
    """KIP-848: what Kafka's own consumer has committed, and who is there now."""
    row = found.rows["newer-protocol"]
    group = found.report.groups[row.group]
    assert (row.committed, row.members, group.protocol) == (2, 1, "consumer")
    assert [(member.client_id, member.host) for member in group.who] == [("atlas-admin", "/127.0.0.1")]


def test_share_group(found: Found) -> None:
    """What it has not done with waits, as Kafka counts it, from the first one on; nobody is a member any more."""
    row = found.rows["share-group"]
    group, start = found.report.groups[row.group], int(found.shared["START-OFFSET"])
    assert (group.protocol, row.members) == ("share", 0)
    assert (row.committed, row.lag_records) == (start, int(found.shared["LAG"]))
    assert row.lag_seconds == pytest.approx(found.age_s("share-group", start), abs=1)


def test_never_committed(found: Found) -> None:
    row = found.rows["never-committed"]
    assert (row.committed, row.members, row.state) == (None, 1, LagState.LAGGING)
    (member,) = found.report.groups[row.group].who
    assert {**member.assigned} == {row.topic: [0]}


def test_backfilled(found: Found) -> None:
    """By which clock is said: the producers' makes old lag of old events, the brokers' does not."""
    created, appended = found.rows["backfilled"], found.rows["backfilled-appended"]
    assert (created.clock, appended.clock) == ("CreateTime", "LogAppendTime")
    assert (created.lag_records, appended.lag_records) == (2, 2)
    assert appended.lag_seconds is not None
    assert appended.lag_seconds < DAY_S / 24


def test_paused(found: Found) -> None:
    row = found.rows["paused"]
    assert (row.state, row.members, row.status) == (LagState.LAGGING, 1, Status.STALLED)
    assert (row.rate_in, row.rate_out, row.catch_up_s) == (0.0, 0.0, None)


def test_skewed_clock(found: Found) -> None:
    """A record of the future is no age below 0, and waits all the same."""
    row: Any = found.rows["skewed-clock"]
    assert (row.lag_records, row.lag_seconds, row.clock) == (3, 0.0, "CreateTime")
    assert found.rows["skewed-clock-behind"].lag_seconds == pytest.approx(1800, abs=60)
