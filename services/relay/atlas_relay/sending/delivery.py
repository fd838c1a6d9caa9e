"""What a sender has delivered, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import KafkaError
from atlas_kafka.producing.produce_answers import Answer, Verdict

from atlas_relay.sending.splice import SplicedBatch

Parcels = Mapping[TopicPartition, Sequence[SplicedBatch]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the brokers answered to a batch."""

    target: TopicPartition
    batch: SplicedBatch
    answer: Answer

    @property
    def error(self) -> KafkaError | None:
        """None when it was taken."""
        return None if self.answer.verdict is Verdict.TAKEN else self.answer.error(self.target.topic)


class Delivery(Protocol):
    """Delivers each partition's batches in order, and all or nothing where it is exactly once."""

    client: AIOKafkaClient

    async def send(self, parcels: Parcels) -> list[Outcome]:
        """What became of each batch; those after a failed one of their partition may be left out. Raises KafkaError."""
