"""What the brokers say about every consumer group, dead ones too, and how long topics are kept."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from atlas_kafka.groups import committed_offsets, group_names

# Requests in flight: enough to hide the way to the brokers, few enough not to crowd out the consumers' own commits.
CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """A group, what it has committed, and its members (None: the broker does not tell)."""

    name: str
    committed: Mapping[TopicPartition, int]
    members: int | None


async def read_groups(admin: AIOKafkaAdminClient, wanted: re.Pattern[str]) -> list[GroupOffsets]:
    """Every group whose whole name matches and that has committed something, by name."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def read(name: str) -> GroupOffsets:
        async with slots:
            return GroupOffsets(name, await committed_offsets(admin, name), await _members(admin, name))

    names = [name for name in await group_names(admin) if wanted.fullmatch(name)]
    groups = await asyncio.gather(*(read(name) for name in names))
    return [group for group in groups if group.committed]


async def _members(admin: AIOKafkaAdminClient, name: str) -> int | None:
    for response in await admin.describe_consumer_groups([name]):
        for _error, group, state, _type, _protocol, members, *_rest in response.groups:
            # "Dead" for a group that the broker lists: one of the newer protocol, which this request can't describe.
            if group == name and state != "Dead":
                return len(members)
    return None


async def retention_of(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    """retention.ms by topic, for topics from which records are deleted by age; absent: never."""
    if not topics:
        return {}
    names = {"retention.ms": None, "cleanup.policy": None}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic, names) for topic in topics]
    retention = {}
    for response in await admin.describe_configs(resources):
        for error, _message, _type, topic, entries in response.resources:
            config = {} if error else {entry[0]: entry[1] for entry in entries}
            if "delete" in config.get("cleanup.policy", "") and int(config.get("retention.ms", -1)) >= 0:
                retention[topic] = int(config["retention.ms"])
    return retention
