"""The status of a group on a real broker: each look at it is an observation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_health_aggregator.judging.status import Status
from atlas_health_aggregator.lag import LagReader
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration


class Watch:
    """What a group's status was at each look."""

    def __init__(self, lag: LagReader, group: str) -> None:
        self._lag, self._group = lag, group
        self.turns: list[Status | None] = []

    async def look(self) -> Status | None:
        report = await self._lag.read()
        status = report.statuses.get(self._group)
        assert status is None or status in {row.status for row in report.rows}
        if self.turns[-1:] != [status]:
            self.turns.append(status)
        return status


@pytest.fixture
async def watch(servers: Servers, name: str) -> AsyncIterator[Watch]:
    settings = HealthAggregatorSettings(
        kafka_brokers=servers.kafka_brokers,
        instance=name,
        health_lag_groups=name,
        health_lag_interval_s=0.001,
        health_blocked_after_s=0,
    )
    async with LagReader(settings) as lag:
        yield Watch(lag, name)


@asynccontextmanager
async def member(servers: Servers, group: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers.kafka_brokers,
        group_id=group,
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def produce(servers: Servers, topic: str, count: int) -> None:
    async with open_producer(servers.kafka_brokers, "test") as producer:
        for result in await send_all(producer, [Outgoing(topic, None, b"x", partition=0) for _ in range(count)]):
            assert not isinstance(result, Exception), result


async def test_a_group_stops_and_catches_up(servers: Servers, make_topic: MakeTopic, watch: Watch, name: str) -> None:
    topic = await make_topic(partitions=1)
    partition = TopicPartition(topic, 0)
    await produce(servers, topic, 5)
    async with member(servers, name, topic) as consumer:
        await consumer.commit({partition: 5})
        for _ in range(2):
            assert await watch.look() is Status.OK
    await produce(servers, topic, 60)
    assert await watch.look() is Status.OK, "one observation says nothing"
    assert await watch.look() is Status.STOPPED
    async with member(servers, name, topic) as consumer:
        for read in range(6, 30, 2):
            await consumer.commit({partition: read})
            await watch.look()
        assert watch.turns[-1] is Status.CATCHING_UP
        await consumer.commit({partition: 65})
        assert await watch.look() is Status.OK
        await produce(servers, topic, 1)
        for _ in range(3):
            assert await watch.look() is Status.OK, "what has just come is no matter"
    assert watch.turns == [Status.OK, Status.STOPPED, Status.CATCHING_UP, Status.OK]


async def test_a_member_that_reads_no_more_is_stalled(
    servers: Servers, make_topic: MakeTopic, watch: Watch, name: str
) -> None:
    topic = await make_topic(partitions=1)
    await produce(servers, topic, 5)
    async with member(servers, name, topic) as consumer:
        await consumer.commit({TopicPartition(topic, 0): 5})
        assert await watch.look() is Status.OK
        await produce(servers, topic, 3)

        async def stalled() -> bool:
            return await watch.look() is Status.STALLED

        await wait_until("the group is stalled", stalled)
        await consumer.commit({TopicPartition(topic, 0): 8})
        assert await watch.look() is Status.OK
    assert watch.turns == [Status.OK, Status.STALLED, Status.OK]


async def test_an_open_transaction_blocks_a_group(
    servers: Servers, make_topic: MakeTopic, watch: Watch, name: str
) -> None:
    topic = await make_topic(partitions=1)
    partition = TopicPartition(topic, 0)
    async with (
        member(servers, name, topic) as consumer,
        open_transactional_producer(servers.kafka_brokers, "test", topic) as producer,
    ):
        await consumer.commit({partition: 0})
        assert await watch.look() is Status.OK
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"x", partition=0)
        assert await watch.look() is Status.OK
        assert await watch.look() is Status.BLOCKED
        await producer.commit_transaction()
        async for record in consumer:
            await consumer.commit({partition: record.offset + 1})
            break

        async def ok() -> bool:
            return await watch.look() is Status.OK

        await wait_until("the group is ok again", ok)
    assert watch.turns == [Status.OK, Status.BLOCKED, Status.OK]
