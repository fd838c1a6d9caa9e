"""Kafka's id of a topic: a new one each time a topic of that name is made, so it tells incarnations apart.

aiokafka speaks Metadata up to version 5; ids are in version 12, which every broker since Kafka 3.1 speaks.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError, for_code

from atlas_kafka.flexible import TEXT, Uuid, array, body
from atlas_kafka.internals.protocol import Boolean, CompactArray, Int16, Int32, Request, RequestStruct, Response


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = body(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            array(("node_id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT)),
        ),
        ("cluster_id", TEXT),
        ("controller_id", Int32),
        (
            "topics",
            array(
                ("error_code", Int16),
                ("name", TEXT),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _MetadataRequestV12(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = body(
        ("topics", array(("topic_id", Uuid), ("name", TEXT))),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestV12]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._topics: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [(uuid.UUID(int=0), name, {}) for name in names]

    def build(self, request_struct_class: type[_MetadataRequestV12]) -> _MetadataRequestV12:
        return request_struct_class(self._topics, False, False, {})


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
    response = await client.send(node, _MetadataRequest(topics))
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
