"""A record stays on its topic for the topic's retention, counted from its answer: whatever time it carries."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.outgoing import Delivery, Outgoing
from atlas_kafka.producing.producer import open_producer
from atlas_local.home import Home
from atlas_local.ports import Ports
from atlas_local.servers.kafka import Kafka
from atlas_local.serverset import Runner
from atlas_local.testing import TEST_HOMES
from atlas_local.waiting import wait_until

from tests.contexts import SCHEMAS

YEAR_2013_MS = 1_357_035_300_000
DAY_MS = 86_400_000


class TidyKafka(Kafka):
    """A broker that looks for what has to go every half second, not every five minutes."""

    def _configuration(self) -> str:
        return super()._configuration() + "\nlog.retention.check.interval.ms=500\nlog.initial.task.delay.ms=500\n"


@pytest.fixture
async def brokers() -> AsyncIterator[str]:
    home = Home(TEST_HOMES / uuid.uuid4().hex[:12])
    home.make()
    kafka = TidyKafka(home, Ports(home.path / "ports.json"))
    runner = Runner(kafka, home.log(kafka.name))
    try:
        await runner.start()
        yield kafka.brokers
    finally:
        await runner.stop()
        home.remove()


async def _held(brokers: str, topic: str) -> int:
    async with open_reader(brokers, "test") as reader:
        return sum(end - first for first, end in (await topic_ranges(reader, [topic])).values())


async def test_records_of_any_time_stay(brokers: str) -> None:
    """Forty of 2013, of the epoch and of tomorrow, by a producer with its own idea of the time, on a topic of 30 days.

    On a topic that goes by the producer's time the same ones are gone at once, which shows that the broker had its
    chance.
    """
    declared = next(topic for topic in Registry.load(SCHEMAS).kafka_topics() if topic[0] == "hauls.events")
    # One record a segment: closed segments alone are removed.
    small = {"segment.bytes": "1048576", "segment.ms": "100"}
    kept, producers_own = (
        TopicSpec("kept", 1, {**declared[2], **small}),
        TopicSpec(
            "own", 1, {"retention.ms": declared[2]["retention.ms"], "message.timestamp.type": "CreateTime", **small}
        ),
    )
    assert declared[2]["retention.ms"] == str(30 * DAY_MS)
    await ensure_topics(brokers, [kept, producers_own])
    now_ms = time.time_ns() // 1_000_000
    times = [YEAR_2013_MS, 0, now_ms + DAY_MS, now_ms - 31 * DAY_MS]
    async with open_producer(brokers, "test") as producer:
        for number in range(40):
            stamp = times[number % len(times)]
            (answer,) = await producer.send_all([Outgoing("kept", b"k", b"v", timestamp_ms=stamp)])
            assert isinstance(answer, Delivery)
            await producer.send_all([Outgoing("own", b"k", b"v", timestamp_ms=min(stamp, now_ms - 31 * DAY_MS))])
            await asyncio.sleep(0.01)

        async def tidied() -> bool:
            await producer.send_all([Outgoing("own", b"k", b"v", timestamp_ms=YEAR_2013_MS)])
            return await _held(brokers, "own") < 20

        await wait_until("the broker to remove what is old by its own time", tidied, 30)
    assert await _held(brokers, "kept") == 40


async def test_without_a_time_of_its_own_a_record_has_that_of_writing(brokers: str) -> None:
    await ensure_topics(brokers, [TopicSpec("create", 1, {"message.timestamp.type": "CreateTime"})])
    began = time.time_ns() // 1_000_000
    async with open_producer(brokers, "test") as producer:
        await producer.send_all([Outgoing("create", b"k", b"v", [("ce_time", b"2013-01-01T00:00:00Z")])])
    async with open_reader(brokers, "test") as reader:
        from aiokafka import TopicPartition

        reader.assign([TopicPartition("create", 0)])
        await reader.seek_to_beginning()
        record = await asyncio.wait_for(reader.getone(), 10)
    assert began <= record.timestamp <= time.time_ns() // 1_000_000
