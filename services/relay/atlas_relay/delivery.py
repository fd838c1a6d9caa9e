"""What a sender has delivered, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import BrokerResponseError

from atlas_relay.splice import SplicedBatch

Parcels = Mapping[TopicPartition, Sequence[SplicedBatch]]


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """The broker's validation refused a record. aiokafka 0.14 does not know this code."""

    errno = 87
    message = "INVALID_RECORD"
    description = "This record has failed the validation on broker and hence be rejected."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch: None, or the error."""

    target: TopicPartition
    batch: SplicedBatch
    error: BaseException | None


class Delivery(Protocol):
    """Delivers each partition's batches in order, and all or nothing where it is exactly once."""

    client: AIOKafkaClient

    async def send(self, parcels: Parcels) -> list[Outcome]:
        """What became of each batch; those after a failed one of their partition may be left out. Raises KafkaError."""
