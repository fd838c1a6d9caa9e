"""Open transactions on a real broker: found, named, ended."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from atlas_kafka.groups import open_reader, topic_ranges
from atlas_kafka.transactional import open_transactional_producer
from atlas_kafka.transactions import abort_hanging, abort_of, open_transactions
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(servers: Servers) -> AsyncIterator[AIOKafkaClient]:
    opened = AIOKafkaClient(bootstrap_servers=servers.kafka_brokers)
    await opened.bootstrap()
    yield opened
    await opened.close()


async def _stable_end(servers: Servers, partition: TopicPartition) -> int:
    async with open_reader(servers.kafka_brokers, "test") as reader:
        return (await topic_ranges(reader, [partition.topic]))[partition][1]


async def test_the_oldest_open_transaction_is_named_and_aborted_by_its_id(
    servers: Servers, make_topic: MakeTopic, client: AIOKafkaClient
) -> None:
    topic = await make_topic(partitions=2)
    held, free = TopicPartition(topic, 0), TopicPartition(topic, 1)
    missing = TopicPartition(f"{topic}.no", 0)
    async with (
        open_transactional_producer(servers.kafka_brokers, "a", f"{topic}-a") as first,
        open_transactional_producer(servers.kafka_brokers, "b", f"{topic}-b") as second,
    ):
        for producer in (first, second):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"x", partition=0)
        found = await open_transactions(client, [held, free, missing])
        assert set(found) == {held}
        transaction = found[held]
        assert (transaction.transactional_id, transaction.start, transaction.hanging) == (f"{topic}-a", 0, False)
        assert transaction.timeout_ms is not None
        assert transaction.started_at is not None
        assert abs(transaction.started_at - transaction.last_write_at) < 30_000
        assert await _stable_end(servers, held) == 0

        await abort_of(servers.kafka_brokers, f"{topic}-a")
        assert (await open_transactions(client, [held]))[held].transactional_id == f"{topic}-b"
        with pytest.raises(KafkaError):
            await first.send_and_wait(topic, b"x", partition=0)
        await second.commit_transaction()
    assert await open_transactions(client, [held]) == {}
    assert await open_transactions(client, []) == {}


async def test_a_marker_ends_a_transaction_in_one_partition(
    servers: Servers, make_topic: MakeTopic, client: AIOKafkaClient
) -> None:
    """What is written for a hanging transaction, whose coordinator has forgotten it."""
    topic = await make_topic(partitions=1)
    partition = TopicPartition(topic, 0)
    async with open_transactional_producer(servers.kafka_brokers, "a", f"{topic}-a") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"x", partition=0)
        transaction = (await open_transactions(client, [partition]))[partition]
        await abort_hanging(client, partition, transaction)

        async def ended() -> bool:
            return await _stable_end(servers, partition) == 2

        await wait_until("the record and its marker are behind the last stable offset", ended, 10)
        assert await open_transactions(client, [partition]) == {}
        await producer.abort_transaction()
