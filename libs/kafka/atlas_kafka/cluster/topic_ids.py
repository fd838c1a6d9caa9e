"""Kafka's id of a topic: a new one each time a topic of that name is made, so it tells incarnations apart."""

from collections.abc import Collection
from dataclasses import dataclass

from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError, for_code

from atlas_kafka.wire.metadata import Metadata


@dataclass(frozen=True, slots=True)
class TopicNow:
    """A topic as the brokers have it at this moment: `id` is UUID text."""

    id: str
    partitions: frozenset[int]


async def topics_now(client: AIOKafkaClient, topics: Collection[str]) -> dict[str, TopicNow]:
    """The topics by name; one that does not exist is left out.

    `client` is a started AIOKafkaClient. Raises KafkaError: a KafkaConnectionError when no broker is known.
    """
    if not topics:
        return {}
    node = client.get_random_node()
    if node is None:
        raise KafkaConnectionError("no broker is known")
    response = await client.send(node, Metadata(topics))
    found = {}
    for code, name, topic_id, _internal, partitions, *_rest in response.topics:
        if code == 0:
            found[name] = TopicNow(str(topic_id), frozenset(number for _code, number, *_rest in partitions))
        elif code != UnknownTopicOrPartitionError.errno:
            raise for_code(code)(f"topic {name}")
    return found


async def topic_ids(client: AIOKafkaClient, topics: Collection[str]) -> dict[str, str]:
    """The ids of the topics, as UUID text; a topic that does not exist is left out. Raises as `topics_now`."""
    return {name: topic.id for name, topic in (await topics_now(client, topics)).items()}
