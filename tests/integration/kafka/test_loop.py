"""The consume loop against a real broker: order, rewind, rebalance, release."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions
from atlas_kafka.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.fates import Transient
from atlas_kafka.groups import committed_offsets, group_names, open_reader, topic_ranges
from atlas_kafka.loop import ConsumerConfig, Offsets, PositionBeyondEnd, Records, consume
from atlas_kafka.producer import Outgoing, open_producer, send_all
from atlas_kafka.transactional import open_transactional_producer, send_in_transaction
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until


class Memory:
    """A sink with positions of its own: durable means remembered here."""

    def __init__(self, *, own_offsets: bool = True) -> None:
        self.own_offsets = own_offsets
        self.values: list[bytes] = []
        self.next: dict[TopicPartition, int] = {}
        self.failures: list[Exception] = []
        self.released: list[Collection[TopicPartition]] = []
        self.started = 0
        self.skips_allowed = False

    async def start_offsets(self, partitions: Collection[TopicPartition]) -> Offsets:
        self.started += 1
        return {p: self.next.get(p, 0) for p in partitions} if self.own_offsets else {}

    async def handle(self, records: Records) -> Offsets:
        if records and self.failures:
            raise self.failures.pop(0)
        for partition, batch in records.items():
            for record in batch:
                if self.own_offsets and not self.skips_allowed:
                    assert record.offset == self.next.get(partition, 0), "a record was skipped or came twice"
                self.values.append(record.value)
                self.next[partition] = record.offset + 1
        return {p: self.next[p] for p in records}

    async def release(self, partitions: Collection[TopicPartition]) -> Offsets:
        self.released.append(set(partitions))
        return {}


def _config(servers: Servers, topic: str, group: str | None = None) -> ConsumerConfig:
    return ConsumerConfig(
        servers.kafka_brokers, group or f"test-{uuid.uuid4().hex[:8]}", (topic,), "test", max_records=100, idle_s=0.05
    )


async def _produce(servers: Servers, topic: str, values: range) -> None:
    async with open_producer(servers.kafka_brokers, "test") as producer:
        results = await send_all(producer, [Outgoing(topic, b"k%d" % i, b"%d" % i) for i in values])
    assert not [r for r in results if isinstance(r, Exception)]


@asynccontextmanager
async def _running(
    config: ConsumerConfig, sink: Memory, heard: list[str | None] | None = None
) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(consume(config, sink, stop, (heard if heard is not None else []).append))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(15):
            await task


async def test_every_record_once_then_committed(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=4)
    await _produce(servers, topic, range(1000))
    sink, config = Memory(), _config(servers, topic)
    async with _running(config, sink):
        await wait_until("1000 records", lambda: len(sink.values) == 1000)
    assert sorted(map(int, sink.values)) == list(range(1000))
    assert sink.released[-1] == {TopicPartition(topic, p) for p in range(4)}
    async with open_admin(servers.kafka_brokers) as admin:
        assert sum((await committed_offsets(admin, config.group)).values()) == 1000
        assert config.group in await group_names(admin)


async def test_a_transient_error_rewinds_to_what_is_durable(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=2)
    await _produce(servers, topic, range(300))
    sink = Memory()
    sink.failures = [Transient("database is away"), ConnectionResetError()]
    heard: list[str | None] = []
    async with _running(_config(servers, topic), sink, heard):
        await wait_until("300 records", lambda: len(sink.values) == 300)
        await wait_until("the recovery to be told", lambda: heard[-1:] == [None])
    assert sorted(map(int, sink.values)) == list(range(300))
    assert "Transient: database is away" in heard
    assert sink.started >= 3


@pytest.mark.parametrize("form", ["raw", "light", "whole"])
async def test_a_loop_behind_an_open_transaction_says_what_it_waits_for(
    servers: Servers, make_topic: MakeTopic, form: str
) -> None:
    """Case 6: what is projector's and archiver's health."""
    topic = await make_topic(partitions=2)
    config = replace(_config(servers, topic), raw=form == "raw", light=form == "light")
    heard: list[str | None] = []

    class Idle(Memory):
        async def handle(self, records: Records) -> Offsets:
            return {}

    async with (
        open_transactional_producer(servers.kafka_brokers, "test", f"{topic}-etl") as producer,
        _running(config, Idle(), heard),
    ):
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"x", partition=1)
        await _produce(servers, topic, range(200))
        blocked = f"waiting: blocked by an open transaction on {topic}/1 for "
        await wait_until("it says so", lambda: (heard[-1:] or [None])[0] is not None, 15)
        assert (heard[-1] or "").startswith(blocked)
        assert heard[0] is None
        await producer.commit_transaction()
        await wait_until("it is well", lambda: heard[-1] is None, 10)


async def test_a_bug_ends_the_loop(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(1))
    sink = Memory()
    sink.failures = [ZeroDivisionError("a bug")]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        async with asyncio.timeout(20):
            await consume(_config(servers, topic), sink, asyncio.Event())


async def test_the_sinks_position_wins_over_the_groups(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(10))
    config = _config(servers, topic)
    first = Memory()
    async with _running(config, first):
        await wait_until("10 records", lambda: len(first.values) == 10)
    second = Memory()
    second.next[TopicPartition(topic, 0)] = 4
    async with _running(config, second):
        await wait_until("the last 6 records", lambda: len(second.values) == 6)
    assert [int(v) for v in second.values] == [4, 5, 6, 7, 8, 9]


async def test_without_positions_of_its_own_a_sink_goes_on_at_the_groups_commit(
    servers: Servers, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(10))
    config = _config(servers, topic)
    first = Memory(own_offsets=False)
    async with _running(config, first):
        await wait_until("10 records", lambda: len(first.values) == 10)
    await _produce(servers, topic, range(10, 13))
    second = Memory(own_offsets=False)
    async with _running(config, second):
        await wait_until("3 records", lambda: len(second.values) == 3)
    assert [int(v) for v in second.values] == [10, 11, 12]


async def test_a_position_past_the_end_is_refused(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(3))
    sink = Memory()
    sink.next[TopicPartition(topic, 0)] = 99
    with pytest.raises(PositionBeyondEnd, match=r"offset 99 .* ends at 3"):
        async with asyncio.timeout(20):
            await consume(_config(servers, topic), sink, asyncio.Event())


async def test_two_consumers_share_and_hand_over(servers: Servers, make_topic: MakeTopic) -> None:
    """Both keep positions in one place, as instances of a service do: nothing may be lost or handled twice."""
    topic = await make_topic(partitions=4)
    config = _config(servers, topic)
    one, two = Memory(), Memory()
    two.next = one.next
    two.values = one.values
    await _produce(servers, topic, range(500))
    async with _running(config, one):
        await wait_until("the first to begin", lambda: len(one.values) > 0)
        async with _running(config, two):
            await wait_until("partitions to be shared", lambda: bool(one.released) and two.started > 0)
            await _produce(servers, topic, range(500, 1500))
            await wait_until("1500 records", lambda: len(one.values) >= 1500)
        await _produce(servers, topic, range(1500, 2000))
        await wait_until("2000 records", lambda: len(one.values) >= 2000)
    assert sorted(map(int, one.values)) == list(range(2000))


async def test_a_group_that_read_a_transactional_topic_to_its_end_has_no_lag(
    servers: Servers, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    async with open_transactional_producer(servers.kafka_brokers, "test", f"test-{uuid.uuid4().hex}") as producer:
        for number in range(3):
            async with producer.transaction():
                await send_in_transaction(producer, [Outgoing(topic, b"k", b"%d" % number)])
    sink, config = Memory(), _config(servers, topic)
    sink.skips_allowed = True
    partition = TopicPartition(topic, 0)
    async with open_admin(servers.kafka_brokers) as admin, _running(config, sink):

        async def committed() -> bool:
            return (await committed_offsets(admin, config.group)).get(partition) == 6

        # Three records and the three markers behind them.
        await wait_until("the group to commit the end of the topic", committed)
    assert sink.values == [b"0", b"1", b"2"]


async def test_topics_are_made_once(servers: Servers) -> None:
    name = f"test.{uuid.uuid4().hex[:8]}"
    spec = TopicSpec(name, 3, {"retention.ms": "3600000"})
    assert await ensure_topics(servers.kafka_brokers, [spec]) == [name]
    assert await ensure_topics(servers.kafka_brokers, [spec]) == []
    async with open_reader(servers.kafka_brokers, "test") as reader:
        ranges = await topic_ranges(reader, [name])
    assert ranges == {TopicPartition(name, p): (0, 0) for p in range(3)}


async def test_new_partitions_are_read_within_ten_seconds_from_their_start(
    servers: Servers, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(10))
    sink, config = Memory(), _config(servers, topic)
    async with _running(config, sink), open_admin(servers.kafka_brokers) as admin:
        await wait_until("the first 10 records", lambda: len(sink.values) == 10)
        await admin.create_partitions({topic: NewPartitions(3)})
        async with open_producer(servers.kafka_brokers, "test") as producer:
            for partition in (1, 2):
                sent = await send_all(producer, [Outgoing(topic, b"k", b"new", partition=partition) for _ in range(5)])
                assert not [r for r in sent if isinstance(r, Exception)]
        await wait_until("the new partitions' records, from their start", lambda: len(sink.values) == 20, 10)
    assert {p.partition for p in sink.next} == {0, 1, 2}
