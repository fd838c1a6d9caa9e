"""Batches onto their partitions, a request to each broker: what a broker did not look at is offered again."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaClient, TopicPartition
from atlas_kafka.internals.protocol import Request
from atlas_kafka.producing.produce_answers import Answer, Verdict
from atlas_kafka.wire.produce import answers_of

from atlas_relay.sending.splice import SplicedBatch

REQUEST_TIMEOUT_MS = 10_000
# While a leader is found.
PAUSE_S = 0.05
# A transaction can begin only when the markers of the one before are written, a millisecond or two after its commit.
BETWEEN_TRANSACTIONS_S = 0.001
_CONCURRENT_TRANSACTIONS, _NETWORK_EXCEPTION, _UNKNOWN_TOPIC = 51, 13, 3
_SEQUENCES = 1 << 31
# A topic that was made a moment ago is not known to every broker yet.
_MISSING_S = 1.0


@dataclass(slots=True)
class Producer:
    """A producer as the brokers know it, and the sequence number that each partition comes to next."""

    id: int
    epoch: int
    sequences: dict[TopicPartition, int] = field(default_factory=dict)

    def stamp(self, target: TopicPartition, batch: SplicedBatch) -> bytes:
        """The batch as the next of its partition."""
        sequence = self.sequences.get(target, 0)
        self.sequences[target] = (sequence + batch.record_count()) % _SEQUENCES
        batch.stamp(self.id, self.epoch, sequence)
        return batch.build()


async def offer(
    client: AIOKafkaClient, packed: Mapping[TopicPartition, bytes], request: Callable[..., Request[Any]]
) -> dict[TopicPartition, Answer]:
    """The answer to each batch; one that came too early is offered again, for as long as its partition exists.

    `request` makes a request of batches by topic. Should a broker have taken a batch all the same, its number tells
    when it comes again. Raises KafkaError when a broker does not answer. Bound it.
    """
    gone = Missing()
    unsent, answers = dict(packed), dict.fromkeys(packed, Answer(_NETWORK_EXCEPTION))

    async def ask(node: int, share: Mapping[TopicPartition, bytes]) -> None:
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for (topic, partition), data in share.items():
            topics[topic].append((partition, data))
        response = await client.send(node, request(topics))
        answers.update({TopicPartition(*target): answer for target, answer in answers_of(response).items()})

    while unsent:
        shares: dict[int, dict[TopicPartition, bytes]] = defaultdict(dict)
        for target, data in unsent.items():
            shares[_leader(client, target)][target] = data
        await asyncio.gather(*(ask(node, share) for node, share in shares.items()))
        unsent = {target: data for target, data in unsent.items() if _is_early(answers[target])}
        if not unsent:
            break
        if all(answers[target].code == _CONCURRENT_TRANSACTIONS for target in unsent):
            await asyncio.sleep(BETWEEN_TRANSACTIONS_S)
        elif await look_again(client):
            for target in [each for each in unsent if gone.is_gone(client, each)]:
                answers[target] = Answer(_UNKNOWN_TOPIC)
                del unsent[target]
    return answers


@dataclass(slots=True)
class Missing:
    """Which partitions the brokers know nothing of, and since when: one that was made just now they get to know."""

    _since: dict[TopicPartition, float] = field(default_factory=dict)

    def is_gone(self, client: AIOKafkaClient, target: TopicPartition) -> bool:
        """Whether it has been missing for long enough to be believed."""
        if client.cluster.leader_for_partition(target) is not None:
            self._since.pop(target, None)
            return False
        return time.monotonic() - self._since.setdefault(target, time.monotonic()) > _MISSING_S


def _is_early(answer: Answer) -> bool:
    return answer.verdict is Verdict.EARLY or answer.code == _UNKNOWN_TOPIC


async def look_again(client: AIOKafkaClient) -> bool:
    """Have the client ask for its topics, and pause; whether a broker answered."""
    answered = await client.force_metadata_update()
    await asyncio.sleep(PAUSE_S)
    return bool(answered)


def _leader(client: AIOKafkaClient, target: TopicPartition) -> int:
    leader = client.cluster.leader_for_partition(target)
    # Any node tells that it is not the leader, and the metadata is asked for again.
    return client.get_random_node() if leader is None or leader < 0 else leader  # type: ignore[no-any-return]
