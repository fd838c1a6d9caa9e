"""What a consumer group has committed, and where topics begin and end."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, KafkaConnectionError, KafkaError, for_code
from atlas_errors.policy import Transient, describe

from atlas_kafka.fetching.foreignrecords import accept_foreign_records
from atlas_kafka.internals.client import ConnectionGroup, CoordinationType, client_of
from atlas_kafka.internals.protocol import (
    ConsumerProtocol,
    ConsumerProtocolMemberMetadata,
    DeleteGroupsRequest,
    DescribeGroupsRequest,
)
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole
from atlas_kafka.wire.groups import DescribeConsumerGroups, ListGroups


@asynccontextmanager
async def open_reader(brokers: str, client_id: str, *, read_committed: bool = True) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group: assign, seek and read, nothing is committed."""
    accept_foreign_records()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if read_committed else "read_uncommitted",
        max_partition_fetch_bytes=2 * 1024 * 1024,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
    try:
        await start_whole(consumer.start())
        yield consumer
    finally:
        await consumer.stop()


async def topic_ranges(consumer: AIOKafkaConsumer, topics: Collection[str]) -> Mapping[TopicPartition, tuple[int, int]]:
    """First and end offset of every partition of the topics that exist, asked of the partitions' leaders.

    The end is the last stable offset for a read-committed consumer, so an open transaction is not counted.
    Raises Transient when no broker answers.
    """
    try:
        metadata = await client_of(consumer).fetch_all_metadata()
    except KafkaError as error:
        raise Transient(f"Kafka: {describe(error)}") from error
    partitions = [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in sorted(metadata.partitions_for_topic(topic) or ())
    ]
    if not partitions:
        return {}
    first = await consumer.beginning_offsets(partitions)
    end = await consumer.end_offsets(partitions)
    return {partition: (first[partition], end[partition]) for partition in partitions}


async def committed_offsets(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    """What the group has committed, partition by partition; empty for a group that never did."""
    offsets = await admin.list_consumer_group_offsets(group)
    return {partition: meta.offset for partition, meta in offsets.items() if meta.offset >= 0}


async def group_names(admin: AIOKafkaAdminClient) -> list[str]:
    """Every group the cluster knows, dead ones too, sorted."""
    return sorted({name for name, *_ in await admin.list_consumer_groups()})


async def delete_group(admin: AIOKafkaAdminClient, group: str) -> bool:
    """Forget what the group has committed; False where the cluster does not know it.

    Raises KafkaError, NonEmptyGroup where it has members.
    """
    coordinator = await admin.find_coordinator(group)
    response = await client_of(admin).send(coordinator, DeleteGroupsRequest([group]))
    ((_name, code),) = response.results
    if code == GroupIdNotFound.errno:
        return False
    if code:
        raise for_code(code)(group)
    return True


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A group that the cluster knows, dead ones too. `type` is classic, consumer (KIP-848), share or streams; empty
    where the brokers do not tell.
    """

    name: str
    protocol: str
    type: str


async def list_groups(admin: AIOKafkaAdminClient) -> list[GroupListing]:
    """Every group, by name; raises KafkaError."""
    found: dict[str, GroupListing] = {}
    for broker in (await client_of(admin).fetch_all_metadata()).brokers():
        response = await client_of(admin).send(broker.nodeId, ListGroups())
        if response.error_code:
            raise for_code(response.error_code)("groups not listed")
        for name, protocol, _state, *more in response.groups:
            found[name] = GroupListing(name, protocol, more[0].lower() if len(more) > 1 else "")
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True, slots=True)
class Member:
    """Who reads a partition, as the brokers know it: the id they gave it, what it calls itself, and from where."""

    id: str
    client_id: str
    host: str


@dataclass(frozen=True, slots=True)
class Members:
    """Members of a group: how many (None: the brokers do not tell), what they want, and who has which partition."""

    count: int | None
    topics: frozenset[str] = frozenset()
    holders: Mapping[TopicPartition, Member] = field(default_factory=dict)


async def group_members(admin: AIOKafkaAdminClient, group: GroupListing) -> Members:
    """The members of the group; raises KafkaError."""
    if group.type == "consumer":
        coordinator = await admin.find_coordinator(group.name)
        response = await client_of(admin).send(coordinator, DescribeConsumerGroups([group.name]))
        for code, _message, name, _state, _epoch, _assigned, _assignor, members, *_ in response.groups:
            if name == group.name and code == 0:
                return _newer_members(members)
        return Members(None)
    if group.type not in {"classic", ""}:
        return Members(None)
    for response in await admin.describe_consumer_groups([group.name]):
        for code, name, state, _type, _protocol, members, *_ in response.groups:
            # "Dead" for a group that the broker lists: one of the newer protocol, which this request can't describe.
            if name == group.name and code == 0 and state != "Dead":
                return _classic_members(members)
    return Members(None)


def _newer_members(members: Sequence[tuple[Any, ...]]) -> Members:
    topics: set[str] = set()
    holders = {}
    for member_id, _instance, _rack, _epoch, client_id, host, wanted, _pattern, assignment, *_ in members:
        topics.update(wanted)
        for _id, topic, partitions, *_tags in assignment[0]:
            topics.add(topic)
            holders.update(
                dict.fromkeys((TopicPartition(topic, n) for n in partitions), Member(member_id, client_id, host))
            )
    return Members(len(members), frozenset(topics), holders)


def _classic_members(members: Sequence[tuple[Any, ...]]) -> Members:
    topics: set[str] = set()
    holders = {}
    for member_id, client_id, host, metadata, assignment in (member[:5] for member in members):
        topics.update(_subscribed(metadata))
        holders.update(dict.fromkeys(_assigned(assignment), Member(member_id, client_id, host)))
    return Members(len(members), frozenset(topics), holders)


def _assigned(assignment: bytes) -> list[TopicPartition]:
    """The partitions that a member of a classic group has; none where its bytes are something else, or empty."""
    try:
        return list(ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions()) if assignment else []
    except Exception:  # noqa: BLE001 - whatever the group's leader has put there, and a protocol other than consumers'
        return []


def _subscribed(metadata: bytes) -> list[str]:
    """The topics that a member of a classic group asks for; none where its bytes are something else."""
    try:
        return [topic for topic in ConsumerProtocolMemberMetadata.decode(BytesIO(metadata)).subscription or () if topic]
    except Exception:  # noqa: BLE001 - whatever a member has put there, and a protocol other than consumers'
        return []


async def held_partitions(client: AIOKafkaClient, group: str) -> set[TopicPartition]:
    """What the members of a classic group have been given. Raises KafkaError."""
    coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
    if not await client.ready(coordinator, group=ConnectionGroup.COORDINATION):
        raise KafkaConnectionError(f"the coordinator of {group} is not there")
    response = await client.send(coordinator, DescribeGroupsRequest([group]), group=ConnectionGroup.COORDINATION)
    held: set[TopicPartition] = set()
    for code, name, _state, _type, _protocol, members, *_rest in response.groups:
        if code:
            raise for_code(code)(f"group {name}")
        for *_about, assignment in (member[:5] for member in members):
            if assignment:
                held.update(ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions())
    return held
