"""What a consumer of Atlas is made of: how it reads, and the sink that takes the records; see `loop` beside it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import ConsumerRecord, TopicPartition
from atlas_errors.policy import Transient

from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_kafka.consuming.endings import OnEnded
from atlas_kafka.consuming.paused import Paused

Records = Mapping[TopicPartition, Sequence[ConsumerRecord]]
Offsets = Mapping[TopicPartition, int]


class Rewind(Exception):
    """Not a fault: the loop reads again from what is durable, at once."""


class PositionBeyondEnd(Transient):
    """A sink's position lies past the end of its partition: the brokers have lost records that were read."""


class Sink(Protocol):
    """Where records go. It alone says what is durable."""

    async def start_offsets(self, partitions: Mapping[TopicPartition, PartitionNow]) -> Offsets:
        """Where to begin, for the partitions whose position the sink keeps itself; others begin at the group's commit.

        A position is one of a topic's id, not of its name. Also called after a transient error, and when a topic was
        made anew: the sink then forgets what it held of these partitions, and of those that are not among them.
        """

    async def handle(self, records: Records) -> Offsets:
        """Take records, in offset order a partition; answer the next offsets that are now durable.

        Called with nothing at least every `idle_s`, so that what is held can be closed by age.
        """

    async def release(self, partitions: Collection[TopicPartition]) -> Offsets:
        """The partitions go to somebody else, or the loop stops: make durable or drop what is held of them."""


class Steps(Protocol):
    """Told what the loop does, for who asks whether it stands still."""

    def does(self, what: str) -> None:
        """A step begins that is over in a moment."""

    def waits(self, what: str) -> None:
        """It waits for this, however long that takes."""

    def moved(self) -> None:
        """Records were handled."""


class NobodyAsks:
    """Steps that nobody looks at."""

    def does(self, what: str) -> None:
        """Nobody asks."""

    def waits(self, what: str) -> None:
        """Nobody asks."""

    def moved(self) -> None:
        """Nobody asks."""


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """What a consumer reads and how much at a time. Sizes in bytes, times in seconds."""

    brokers: str
    group: str
    topics: tuple[str, ...]
    client_id: str
    max_records: int = 5000
    idle_s: float = 0.25
    read_committed: bool = True
    # Without a sign of life for so long, its partitions go to others; the brokers have to allow it.
    session_s: float = 10.0
    # Bounds memory: at most this much a partition is fetched ahead of the sink.
    max_partition_fetch_bytes: int = 2 * 1024 * 1024
    # The sink gets RawBatch instead of records, and `max_records` counts them.
    raw: bool = False
    # Partitions of the same number go to the same member, whichever of the topics they are of.
    co_partitioned: bool = False
    # The sink gets LightRecord instead of records.
    light: bool = False
    # Nothing is read of these partitions: the sink pauses them, and has them resumed.
    paused: Paused | None = None
    # Told of the partitions of a topic that was deleted, after all that was fetched of it has been handled.
    ended: OnEnded | None = None
    steps: Steps = field(default_factory=NobodyAsks)
