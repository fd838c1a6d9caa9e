"""What the brokers say about every consumer group, dead ones too, and how long topics are kept."""

import asyncio
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from atlas_errors.policy import Fate, describe, fate_of
from atlas_kafka.cluster.groups import GroupListing, Member, group_members, list_groups

# Requests in flight: enough to hide the way to the brokers, few enough not to crowd out the consumers' own commits.
CONCURRENCY = 8
# Whoever may commit may make a group; each costs requests every round, and series.
GROUPS_MAX = 300
UUID_CHARS = 36

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Commit:
    """An offset that a group has committed; `topic_id` is that of the topic it counted, where the group said so."""

    offset: int
    topic_id: str | None


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """A group: what it has committed, its members (None: the broker does not tell), the topics that they want, and who
    of them has which partition.
    """

    name: str
    committed: Mapping[TopicPartition, Commit]
    members: int | None
    topics: frozenset[str] = frozenset()
    ours: bool = False
    holders: Mapping[TopicPartition, Member] = field(default_factory=dict)

    @property
    def read(self) -> frozenset[str]:
        """Every topic that it reads, or has read."""
        return self.topics | {partition.topic for partition in self.committed}


def is_of_the_mesh(group: str, services: Collection[str]) -> bool:
    """Whether a group is one of these services': it has the service's name, or `<service>.<projection>`."""
    return group in services or group.partition(".")[0] in services


async def read_groups(
    admin: AIOKafkaAdminClient, wanted: re.Pattern[str], services: Collection[str] = ()
) -> tuple[list[GroupOffsets], int]:
    """Every group whose whole name matches, by name, the ones of `services` first; and how many more there are.

    A group that the brokers do not let us look at is left out.
    """
    slots = asyncio.Semaphore(CONCURRENCY)

    async def read(group: GroupListing) -> GroupOffsets | None:
        async with slots:
            try:
                committed = await admin.list_consumer_group_offsets(group.name)
                members = await group_members(admin, group)
            except KafkaError as error:
                if fate_of(error) is Fate.TRANSIENT:
                    raise
                log.warning("group not read", group=group.name, error=describe(error))
                return None
        commits = {
            each: Commit(found.offset, _id_in(found.metadata)) for each, found in committed.items() if found.offset >= 0
        }
        ours = is_of_the_mesh(group.name, services)
        return GroupOffsets(group.name, commits, members.count, members.topics, ours, members.holders)

    named = [group for group in await list_groups(admin) if wanted.fullmatch(group.name)]
    named.sort(key=lambda each: (not is_of_the_mesh(each.name, services), each.name))
    groups = await asyncio.gather(*(read(group) for group in named[:GROUPS_MAX]))
    return [group for group in groups if group is not None], max(0, len(named) - GROUPS_MAX)


def _id_in(metadata: str | None) -> str | None:
    """The topic's id that Atlas' own consumers commit beside each offset; other clients put there what they like."""
    try:
        return str(uuid.UUID(metadata)) if metadata and len(metadata) == UUID_CHARS else None
    except ValueError:
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
