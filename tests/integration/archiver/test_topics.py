"""What the brokers say of a topic."""

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from atlas_archiver.topics import open_topic_facts
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers

pytestmark = pytest.mark.integration


async def test_incarnations(servers: Servers, make_topic: MakeTopic) -> None:
    one, other = await make_topic(), await make_topic()
    async with open_topic_facts(servers.kafka_brokers, "test") as facts:
        found = await facts.incarnations([one, other, one])
        assert found.keys() == {one, other}
        assert found == await facts.incarnations([other, one])
        assert (await facts.incarnations([one, "none-such"])).keys() == {one}


async def test_log_starts(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=2)
    cut, whole = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await send_all(producer, [Outgoing(topic, b"k", b"v", partition=0) for _ in range(10)])
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_records({cut: RecordsToDelete(before_offset=6)})
    async with open_topic_facts(servers.kafka_brokers, "test") as facts:
        assert await facts.log_starts([cut, whole]) == {cut: 6, whole: 0}
