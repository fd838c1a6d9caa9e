"""A topic's id as the broker has it."""

import uuid

import pytest
from aiokafka.client import AIOKafkaClient
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration


async def test_each_topic_has_an_id_of_its_own(client: AIOKafkaClient, make_topic: MakeTopic) -> None:
    one, other = await make_topic(partitions=1), await make_topic(partitions=9)
    found: dict[str, str] = {}

    async def both() -> bool:
        found.update(await topic_ids(client, [one, other, "no.such.topic"]))
        return len(found) >= 2

    await wait_until("the broker to know both topics", both)  # it answers a moment before it does
    assert found.keys() == {one, other}
    assert found[one] != found[other]
    assert all(uuid.UUID(text).int for text in found.values())
    assert await topic_ids(client, [one]) == {one: found[one]}
    assert await topic_ids(client, []) == {}


async def test_a_topic_made_anew_has_another_id(
    client: AIOKafkaClient, servers: Servers, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    before = await topic_ids(client, [topic])
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_topics([topic])

    async def gone() -> bool:
        return await topic_ids(client, [topic]) == {}

    await wait_until("the topic to be gone", gone)
    await ensure_topics(servers.kafka_brokers, [TopicSpec(topic, 1)])

    async def back() -> bool:
        return topic in await topic_ids(client, [topic])

    await wait_until("the topic to be back", back)
    assert await topic_ids(client, [topic]) != before
