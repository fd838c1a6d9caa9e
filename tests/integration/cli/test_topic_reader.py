"""Ranges of a live topic: what is in them, in order, and nothing after."""

import asyncio

import pytest
from atlas_cli.output import CommandError
from atlas_cli.topic_reader import LiveTopicReader, open_topic_reader
from atlas_kafka.producer import open_producer
from atlas_local.testing import MakeTopic, Servers

pytestmark = pytest.mark.integration


async def values(reader: LiveTopicReader, topic: str, start: int, stop: int) -> list[bytes | None]:
    async with asyncio.timeout(10):
        return [record.value async for batch in reader.read(topic, 0, start, stop) for record in batch]


async def test_ranges_of_a_transactional_topic(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test", transactional_id=f"tx-{topic}") as producer:
        for text in (b"a", b"b", b"aborted", b"c"):
            await producer.begin_transaction()
            await producer.send(topic, text, partition=0)
            await (producer.abort_transaction() if text == b"aborted" else producer.commit_transaction())
    async with open_topic_reader(servers.kafka_brokers) as reader:
        live = await reader.describe(topic)
        assert live is not None
        assert (live.bounds, live.compacted) == ({0: (0, 8)}, False)
        assert await values(reader, topic, 0, 8) == [b"a", b"b", b"c"]
        assert await values(reader, topic, 1, 3) == [b"b"]
        assert await values(reader, topic, 3, 6) == []
        assert await values(reader, topic, 0, 1) == [b"a"]  # and back again
        assert await reader.describe("no.such.topic") is None


async def test_a_compacted_topic_is_known(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=3, config={"cleanup.policy": "compact,delete"})
    async with open_topic_reader(servers.kafka_brokers) as reader:
        live = await reader.describe(topic)
    assert live is not None
    assert live.compacted
    assert live.bounds == {0: (0, 0), 1: (0, 0), 2: (0, 0)}


async def test_a_kafka_that_is_away_is_said() -> None:
    with pytest.raises(CommandError, match=r"Kafka 127\.0\.0\.1:1"):
        async with open_topic_reader("127.0.0.1:1"):
            pass
