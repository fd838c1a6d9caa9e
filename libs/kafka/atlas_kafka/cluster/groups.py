"""What a consumer group has committed, and where topics begin and end."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, KafkaConnectionError, KafkaError, for_code
from atlas_errors.policy import Transient, describe

from atlas_kafka.fetching.foreignrecords import accept_foreign_records
from atlas_kafka.internals.client import ConnectionGroup, CoordinationType, client_of
from atlas_kafka.internals.protocol import ConsumerProtocol, DeleteGroupsRequest, DescribeGroupsRequest
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole


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
