"""Where partitions live: the brokers, and of each partition its leader and replicas."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import KafkaConnectionError

from atlas_kafka.wire.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Replicas:
    """The brokers that have a partition, by id: its leader (None: it has none now), all in order of preference, and
    those that are up to date.
    """

    leader: int | None
    assigned: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def preferred(self) -> bool:
        """Whether the leader is the first in order of preference."""
        return self.leader is not None and self.assigned[:1] == (self.leader,)

    @property
    def short(self) -> bool:
        """Whether a replica is not up to date."""
        return len(self.in_sync) < len(self.assigned)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers' addresses by id, and the partitions of the topics that were asked for and exist."""

    brokers: Mapping[int, str] = field(default_factory=dict)
    partitions: Mapping[TopicPartition, Replicas] = field(default_factory=dict)


async def cluster_now(client: AIOKafkaClient, topics: Collection[str]) -> Cluster:
    """The cluster as a broker sees it at this moment.

    `client` is a started AIOKafkaClient. Raises KafkaError: a KafkaConnectionError when no broker is known.
    """
    node = client.get_random_node()
    if node is None:
        raise KafkaConnectionError("no broker is known")
    response = await client.send(node, Metadata(topics))
    return Cluster(
        {number: f"{host}:{port}" for number, host, port, *_rest in response.brokers},
        {
            TopicPartition(name, number): Replicas(None if leader < 0 else leader, tuple(replicas), tuple(in_sync))
            for code, name, _id, _internal, partitions, *_rest in response.topics
            if code == 0
            for _code, number, leader, _epoch, replicas, in_sync, *_more in partitions
        },
    )
