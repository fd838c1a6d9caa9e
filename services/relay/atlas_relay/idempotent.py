"""At least once: an idempotent producer without transactions."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer, TopicPartition

from atlas_relay.delivery import Outcome, Parcels
from atlas_relay.splice import SplicedBatch


class Idempotent:
    """Sends each partition's batches one after the other: what follows a refused one must not overtake it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self.client = producer.client

    async def send(self, parcels: Parcels) -> list[Outcome]:
        """See Delivery. Batches that are not after a failed one arrive."""
        done = await asyncio.gather(*(self._send(*parcel) for parcel in parcels.items()))
        return [outcome for parcel in done for outcome in parcel]

    async def _send(self, target: TopicPartition, batches: Sequence[SplicedBatch]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for batch in batches:
            try:
                await (await self._producer.send_batch(batch, target.topic, partition=target.partition))
            except Exception as error:  # noqa: BLE001 - becomes this batch's outcome
                outcomes.append(Outcome(target, batch, error))
                break
            outcomes.append(Outcome(target, batch, None))
        return outcomes
