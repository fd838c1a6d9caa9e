"""What the brokers say about groups and topics."""

import re

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_health_aggregator.groups import Commit, read_groups, retention_of
from atlas_kafka.cluster.admin import open_admin
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

from tests.integration.health_aggregator.newer_member import NewerMember

pytestmark = pytest.mark.integration


async def test_groups_with_and_without_members_and_commits(servers: Servers, make_topic: MakeTopic, name: str) -> None:
    topic = await make_topic(partitions=1)
    made = [
        AIOKafkaConsumer(
            topic, bootstrap_servers=servers.kafka_brokers, group_id=f"{name}.{which}", enable_auto_commit=False
        )
        for which in ("alive", "dead", "idle")
    ]
    alive, dead, _idle = made
    for consumer in made:
        await consumer.start()
    try:
        await alive.commit({TopicPartition(topic, 0): (0, "0B0E4A4C-0000-4000-8000-000000000001")})
        await dead.commit({TopicPartition(topic, 0): (0, "what another client keeps here")})
        await dead.stop()
        async with open_admin(servers.kafka_brokers) as admin:
            groups, hidden = await read_groups(admin, re.compile(rf"{name}\..*"), {name})
            assert await read_groups(admin, re.compile(name)) == ([], 0), "the whole name must match"
    finally:
        for consumer in made:
            await consumer.stop()
    assert hidden == 0
    assert [(group.name.removeprefix(f"{name}."), group.members, group.read, group.ours) for group in groups] == [
        ("alive", 1, {topic}, True),
        ("dead", 0, {topic}, True),
        ("idle", 1, {topic}, True),
    ]
    (holder,) = groups[0].holders.values()
    assert groups[0].holders.keys() == {TopicPartition(topic, 0)}
    assert (holder.client_id, holder.host) == (alive._client._client_id, "/127.0.0.1")
    assert holder.id.startswith(holder.client_id)
    assert groups[1].holders == {}
    assert groups[0].committed == {TopicPartition(topic, 0): Commit(0, "0b0e4a4c-0000-4000-8000-000000000001")}
    assert groups[1].committed == {TopicPartition(topic, 0): Commit(0, None)}


async def test_a_group_of_the_newer_protocol_shows_its_members(
    servers: Servers, make_topic: MakeTopic, name: str
) -> None:
    topic = await make_topic(partitions=2)
    async with open_admin(servers.kafka_brokers) as admin:
        member = NewerMember(admin, name, topic)
        await member.heartbeat()

        async def shown() -> tuple[int | None, frozenset[str]]:
            (group,), _ = await read_groups(admin, re.compile(name))
            return group.members, group.read

        assert await shown() == (1, {topic})

        async def held() -> bool:
            await member.heartbeat()
            (group,), _ = await read_groups(admin, re.compile(name))
            return group.holders.keys() == {TopicPartition(topic, 0), TopicPartition(topic, 1)}

        await wait_until("the member to have both partitions", held)
        await member.leave()
        assert (await shown())[0] == 0


async def test_the_mesh_s_groups_come_first_where_there_are_too_many(
    servers: Servers, make_topic: MakeTopic, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await make_topic(partitions=1)
    monkeypatch.setattr("atlas_health_aggregator.groups.GROUPS_MAX", 2)
    for number in range(4):
        group = f"{name}-{number}"
        consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka_brokers, group_id=group, enable_auto_commit=False)
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): 0})
        await consumer.stop()
    async with open_admin(servers.kafka_brokers) as admin:
        groups, hidden = await read_groups(admin, re.compile(f"{name}.*"), {f"{name}-3"})
    assert ([group.name for group in groups], hidden) == ([f"{name}-3", f"{name}-0"], 2)


async def test_retention_of_topics_that_delete_by_age(servers: Servers, make_topic: MakeTopic) -> None:
    aged = await make_topic(config={"retention.ms": "7000"})
    for_ever = await make_topic(config={"retention.ms": "-1"})
    compacted = await make_topic(config={"cleanup.policy": "compact", "retention.ms": "7000"})
    async with open_admin(servers.kafka_brokers) as admin:
        assert await retention_of(admin, [aged, for_ever, compacted, "no.such.topic"]) == {aged: 7000}
        assert await retention_of(admin, []) == {}
