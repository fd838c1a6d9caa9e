"""What the brokers and the group say about partitions at one moment: of which topic they are, where they begin and end.

A topic deleted and made again has the name of the old one and another id: what is known by name (a position, a group's
offset) counts only for the id that it was noted with.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_errors.policy import Transient

from atlas_kafka.cluster.topic_ids import TopicNow, topics_now
from atlas_kafka.internals.client import client_of
from atlas_kafka.internals.coordinator import committed_with_metadata


@dataclass(frozen=True, slots=True)
class PartitionNow:
    """One partition: the id of its topic, its first offset, the one after its last (stable) record, and how many
    partitions the topic has.
    """

    topic_id: str
    first: int
    end: int
    of: int


async def partitions_now(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> Mapping[TopicPartition, PartitionNow]:
    """Those of the partitions that exist. Raises Transient when a topic changes meanwhile, and KafkaError."""
    names = {partition.topic for partition in partitions}
    topics = await topics_now(client_of(consumer), names)
    there = [tp for tp in partitions if tp.topic in topics and tp.partition in topics[tp.topic].partitions]
    if not there:
        return {}
    first = await consumer.beginning_offsets(there)
    end = await consumer.end_offsets(there)
    # Offsets are asked for by name: they are those of this topic if it is still the same one after.
    if await topics_now(client_of(consumer), names) != topics:
        raise Transient(f"topics change: {', '.join(sorted(names))}")
    return {tp: PartitionNow(topics[tp.topic].id, first[tp], end[tp], len(topics[tp.topic].partitions)) for tp in there}


async def committed_to(
    consumer: AIOKafkaConsumer, partitions: Mapping[TopicPartition, PartitionNow]
) -> Mapping[TopicPartition, int]:
    """Where the group stands in these partitions: what it has committed of this very topic, else 0.

    A commit without an id, by an older version or another client, counts while it lies within the partition.
    """
    if not partitions:
        return {}
    found = await committed_with_metadata(consumer, partitions)
    offsets = {}
    for place, now in partitions.items():
        commit = found.get(place)
        offsets[place] = 0
        if commit is not None and commit.offset >= 0:
            ours = commit.metadata == now.topic_id or (not commit.metadata and commit.offset <= now.end)
            offsets[place] = commit.offset if ours else 0
    return offsets


def changed(topics: Mapping[str, TopicNow], ids: Mapping[str, str]) -> list[str]:
    """The topics that are not the ones of these ids any more."""
    return sorted(name for name, known in ids.items() if name not in topics or topics[name].id != known)
