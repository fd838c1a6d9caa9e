"""Ranges of a live topic: what is in them, in order, and nothing after."""

import asyncio

import pytest
from atlas_cli.terminal.output import CommandError
from atlas_cli.topics.topic_reader import LiveTopicReader, open_topic_reader
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import MakeTopic, Servers

pytestmark = pytest.mark.integration


async def values(reader: LiveTopicReader, topic: str, start: int, stop: int) -> list[bytes | None]:
    async with asyncio.timeout(10):
        return [record.value async for batch in reader.read(topic, 0, start, stop) for record in batch]


async def test_ranges_of_a_transactional_topic(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_transactional_producer(servers.kafka_brokers, "test", f"tx-{topic}") as producer:
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


async def test_range_after_range_and_back_again(servers: Servers, make_topic: MakeTopic) -> None:
    """They come in one fetch, and what is beyond a range is not asked for again."""
    topic, sent = await make_topic(partitions=1), [b"%d" % number for number in range(100)]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await send_all(producer, [Outgoing(topic, None, value, partition=0) for value in sent])
    async with open_topic_reader(servers.kafka_brokers) as reader:
        for size in (7, 100, 1):
            got = [await values(reader, topic, start, min(start + size, 100)) for start in range(0, 100, size)]
            assert [value for part in got for value in part] == sent, size
        assert await values(reader, topic, 0, 7) == sent[:7]
        assert await values(reader, topic, 10, 12) == sent[10:12]  # not where that one ended
        async for batch in reader.read(topic, 0, 12, 40):
            assert batch[0].value == b"12"
            break  # left early: the next one begins anew
        assert await values(reader, topic, 40, 42) == sent[40:42]


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
