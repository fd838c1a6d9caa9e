"""Brokers and replicas as the cluster has them."""

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from atlas_kafka.cluster.replicas import Cluster, cluster_now
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration


async def test_each_partition_has_its_leader_and_replicas(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=2)
    client = AIOKafkaClient(bootstrap_servers=servers.kafka_brokers)
    await client.bootstrap()
    found = Cluster()

    async def led() -> bool:
        nonlocal found
        found = await cluster_now(client, [topic, "no.such.topic"])
        return len(found.partitions) == 2 and all(each.leader is not None for each in found.partitions.values())

    try:
        await wait_until("both partitions to have a leader", led)
    finally:
        await client.close()
    assert found.partitions.keys() == {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    (broker,) = found.brokers
    assert found.brokers[broker] in servers.kafka_brokers
    for each in found.partitions.values():
        assert (each.leader, each.assigned, each.in_sync) == (broker, (broker,), (broker,))
        assert (each.preferred, each.short) == (True, False)
