"""A consumer's group coordinator."""

from collections.abc import Collection, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata


async def committed_with_metadata(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """What the consumer's group has committed of these partitions, in one request. Raises KafkaError.

    `consumer.committed` asks for one partition at a time and gives the offset without its metadata, where the topic's
    id is.
    """
    found: Mapping[TopicPartition, OffsetAndMetadata] = await consumer._coordinator.fetch_committed_offsets(
        list(partitions)
    )
    return found


def is_rebalancing(consumer: AIOKafkaConsumer) -> bool:
    """Whether the group is giving partitions out at this moment: `consumer.assignment` is of before, or empty.

    A rebalance listener hears of the end of it only, and of nothing when it fails.
    """
    rebalancing: bool = consumer._subscription.reassignment_in_progress
    return rebalancing
