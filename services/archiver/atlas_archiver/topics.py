"""What the brokers say of a topic: which incarnation it is, and where its partitions' logs begin."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, TopicPartition
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.fetching.foreignrecords import accept_foreign_records
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole


class TopicFacts(Protocol):
    """Asked of the brokers each time; any method may raise a KafkaError."""

    async def incarnations(self, topics: Collection[str]) -> Mapping[str, str]:
        """Kafka's id of each topic that exists."""

    async def log_starts(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The first offset that each partition still has."""


class KafkaTopicFacts:
    """TopicFacts of a cluster; from `open_topic_facts`."""

    def __init__(self, client: AIOKafkaClient, consumer: AIOKafkaConsumer) -> None:
        self._client = client
        self._consumer = consumer

    async def incarnations(self, topics: Collection[str]) -> Mapping[str, str]:
        return await topic_ids(self._client, sorted(set(topics)))

    async def log_starts(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        starts: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(list(partitions))
        return starts


@asynccontextmanager
async def open_topic_facts(brokers: str, client_id: str) -> AsyncIterator[KafkaTopicFacts]:
    """Connects at once, so raises a KafkaError while no broker answers."""
    known = {"bootstrap_servers": brokers, "client_id": client_id, "metadata_max_age_ms": METADATA_MAX_AGE_MS}
    client = AIOKafkaClient(**known)
    accept_foreign_records()
    consumer = AIOKafkaConsumer(**known, group_id=None)
    try:
        await start_whole(client.bootstrap())
        await start_whole(consumer.start())
        yield KafkaTopicFacts(client, consumer)
    finally:
        await consumer.stop()
        await client.close()
