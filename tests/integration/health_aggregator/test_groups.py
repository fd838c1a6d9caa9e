"""What the brokers say about groups and topics."""

import re

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_health_aggregator.groups import GroupOffsets, GroupReader
from atlas_health_aggregator.topic_configs import TopicConfig, TopicConfigs, read_configs
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.members import holders_of
from atlas_kafka.internals.client import client_of
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
            groups, hidden = await GroupReader().read(client_of(admin), re.compile(rf"{name}\..*"), {name})
            assert await GroupReader().read(client_of(admin), re.compile(name)) == ([], 0), "the whole name must match"
    finally:
        for consumer in made:
            await consumer.stop()
    assert hidden == 0
    assert [(group.name.removeprefix(f"{name}."), group.members, group.read, group.ours) for group in groups] == [
        ("alive", 1, {topic}, True),
        ("dead", 0, {topic}, True),
        ("idle", 1, {topic}, True),
    ]
    (holder,) = holders_of(groups[0].who).values()
    assert holders_of(groups[0].who).keys() == {TopicPartition(topic, 0)}
    assert (holder.client_id, holder.host) == (alive._client._client_id, "/127.0.0.1")
    assert holder.id.startswith(holder.client_id)
    assert holders_of(groups[1].who) == {}
    assert _commits(groups[0]) == {(topic, 0): (0, "0b0e4a4c-0000-4000-8000-000000000001")}
    assert _commits(groups[1]) == {(topic, 0): (0, None)}
    assert [(group.protocol, group.state, group.empty_members) for group in groups] == [
        ("classic", "Stable", 0),
        ("classic", "Empty", 0),
        ("classic", "Stable", 0),
    ]


def _commits(group: GroupOffsets) -> dict[tuple[str, int], tuple[int, str | None]]:
    return {
        (topic, int(partition)): (int(offset), topic_id)
        for topic, commits in group.committed.items()
        for partition, offset, topic_id in zip(commits.partitions, commits.offsets, commits.ids_of(), strict=True)
    }


async def test_a_group_of_the_newer_protocol_shows_its_members(
    servers: Servers, make_topic: MakeTopic, name: str
) -> None:
    topic = await make_topic(partitions=2)
    async with open_admin(servers.kafka_brokers) as admin:
        member = NewerMember(admin, name, topic)
        await member.heartbeat()

        reader = GroupReader()

        async def shown() -> tuple[int | None, frozenset[str]]:
            (group,), _ = await reader.read(client_of(admin), re.compile(name))
            return group.members, group.read

        assert await shown() == (1, {topic})

        async def held() -> bool:
            await member.heartbeat()
            (group,), _ = await reader.read(client_of(admin), re.compile(name))
            assert group.protocol == "consumer"
            return holders_of(group.who).keys() == {TopicPartition(topic, 0), TopicPartition(topic, 1)}

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
        groups, hidden = await GroupReader().read(client_of(admin), re.compile(f"{name}.*"), {f"{name}-3"})
    assert ([group.name for group in groups], hidden) == ([f"{name}-3", f"{name}-0"], 2)


async def test_how_long_topics_are_kept_and_by_whose_clock(servers: Servers, make_topic: MakeTopic) -> None:
    aged = await make_topic(config={"retention.ms": "7000", "message.timestamp.type": "LogAppendTime"})
    for_ever = await make_topic(config={"retention.ms": "-1"})
    compacted = await make_topic(config={"cleanup.policy": "compact", "retention.ms": "7000"})
    expected = {
        aged: TopicConfig(7000, "LogAppendTime"),
        for_ever: TopicConfig(-1, "CreateTime"),
        compacted: TopicConfig(-1, "CreateTime"),
    }
    async with open_admin(servers.kafka_brokers) as admin:
        assert await read_configs(admin, [aged, for_ever, compacted, "no.such.topic"]) == expected
        assert await read_configs(admin, []) == {}
        configs = TopicConfigs()
        assert await configs.of(admin, [aged, "no.such.topic"]) == {
            aged: expected[aged],
            "no.such.topic": TopicConfig(-1, None),
        }
        await admin.close()
        assert await configs.of(admin, [aged]) == {aged: expected[aged]}, "it is known for a while"
