"""At least once: an idempotent producer without transactions."""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import KafkaError, NoError, for_code
from atlas_errors.policy import describe
from atlas_kafka.internals.protocol import InitProducerIdRequest
from atlas_kafka.producing.produce_answers import Answer, Verdict
from atlas_kafka.wire.produce import Produce

from atlas_relay.sending.delivery import Outcome, Parcels
from atlas_relay.sending.produce import PAUSE_S, REQUEST_TIMEOUT_MS, Producer, offer
from atlas_relay.sending.splice import SplicedBatch

_UNUSED_TIMEOUT_MS = 60_000  # of transactions; has to be there


class Idempotent:
    """Sends each partition's batches one after the other: what follows a refused one must not overtake it."""

    def __init__(self, client: AIOKafkaClient, producer: Producer) -> None:
        self.client = client
        self._producer = producer

    async def send(self, parcels: Parcels) -> list[Outcome]:
        """See Delivery. Batches that are not after a failed one arrive. It tries for as long as that can help: bound
        it.
        """
        outcomes: list[Outcome] = []
        failed: set[TopicPartition] = set()
        for number in range(max(map(len, parcels.values()))):  # a request having at most one batch of a partition
            batches = {
                target: batches[number]
                for target, batches in parcels.items()
                if number < len(batches) and target not in failed
            }
            done = await self._produce(batches)
            failed |= {outcome.target for outcome in done if outcome.answer.verdict is not Verdict.TAKEN}
            outcomes += done
        return outcomes

    async def _produce(self, batches: Mapping[TopicPartition, SplicedBatch]) -> list[Outcome]:
        """One batch a partition. Where a broker does not answer, or not for sure, the very same bytes are sent again.

        It knows them by their number.
        """
        unsent = {target: self._producer.stamp(target, batch) for target, batch in batches.items()}
        answers: dict[TopicPartition, Answer] = {}
        while unsent:
            try:
                answers |= await offer(self.client, unsent, lambda topics: Produce(REQUEST_TIMEOUT_MS, topics))
            except (KafkaError, OSError) as error:
                unanswered = Answer(_NETWORK_EXCEPTION, message=describe(error))
                answers |= dict.fromkeys(unsent, unanswered)
            unsent = {target: packed for target, packed in unsent.items() if _may_pass(answers[target])}
            if unsent:
                await self.client.force_metadata_update()
                await asyncio.sleep(PAUSE_S)
        return [Outcome(target, batch, answers[target]) for target, batch in batches.items()]


_NETWORK_EXCEPTION = 13
_NAMELESS = (-1, 2)


def _may_pass(answer: Answer) -> bool:
    return answer.verdict is Verdict.UNSETTLED and answer.code not in _NAMELESS


async def open_idempotent(client: AIOKafkaClient) -> Idempotent:
    """With a producer id of its own. Raises KafkaError."""
    answer = await client.send(client.get_random_node(), InitProducerIdRequest(None, _UNUSED_TIMEOUT_MS))
    if (error := for_code(answer.error_code)) is not NoError:
        raise error()
    return Idempotent(client, Producer(answer.producer_id, answer.producer_epoch))
