"""What the brokers say about groups and topics."""

import re

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_health_aggregator.groups import read_groups, retention_of
from atlas_kafka.admin import open_admin
from atlas_local.testing import MakeTopic, Servers

pytestmark = pytest.mark.integration


async def test_groups_with_and_without_members(servers: Servers, make_topic: MakeTopic, name: str) -> None:
    topic = await make_topic(partitions=1)
    alive = AIOKafkaConsumer(topic, bootstrap_servers=servers.kafka_brokers, group_id=f"{name}-alive")
    dead = AIOKafkaConsumer(topic, bootstrap_servers=servers.kafka_brokers, group_id=f"{name}-dead")
    idle = AIOKafkaConsumer(
        topic, bootstrap_servers=servers.kafka_brokers, group_id=f"{name}-idle", enable_auto_commit=False
    )
    for consumer in (alive, dead, idle):
        await consumer.start()
    try:
        for consumer in (alive, dead):
            await consumer.commit({TopicPartition(topic, 0): 0})
        await dead.stop()
        async with open_admin(servers.kafka_brokers) as admin:
            groups = await read_groups(admin, re.compile(f"{name}.*"))
            assert await read_groups(admin, re.compile(name)) == [], "the whole name must match"
    finally:
        for consumer in (alive, dead, idle):
            await consumer.stop()
    assert [(group.name, group.members) for group in groups] == [(f"{name}-alive", 1), (f"{name}-dead", 0)]
    assert groups[1].committed == {TopicPartition(topic, 0): 0}


async def test_retention_of_topics_that_delete_by_age(servers: Servers, make_topic: MakeTopic) -> None:
    aged = await make_topic(config={"retention.ms": "7000"})
    for_ever = await make_topic(config={"retention.ms": "-1"})
    compacted = await make_topic(config={"cleanup.policy": "compact", "retention.ms": "7000"})
    async with open_admin(servers.kafka_brokers) as admin:
        assert await retention_of(admin, [aged, for_ever, compacted, "no.such.topic"]) == {aged: 7000}
        assert await retention_of(admin, []) == {}
