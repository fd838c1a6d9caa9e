"""The Kafka side of a lane: sending a batch, exactly once or at least once, and telling whether one was sent.

After any error the sender is spent: its producer's state is unknown, and only a new one can tell.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from atlas_errors.policy import Transient, describe
from atlas_kafka.metrics import outgoing
from atlas_kafka.producing.produce_answers import Verdict
from atlas_outbox.relaying.sent import Row, Sent

from atlas_relay.protocol import Caution, Refused
from atlas_relay.sending.delivery import Delivery, Outcome, Parcels
from atlas_relay.sending.idempotent import open_idempotent
from atlas_relay.sending.marks import free, ids_of_sender, last_marks, mark_of, partition_of, settle, tombstone_of
from atlas_relay.sending.splice import SplicedBatch, ids_of, pack
from atlas_relay.sending.transactions import open_client, open_transactions
from atlas_relay.topics import Topics
from atlas_relay.waiting import answered

# A server's error that says nothing of the records: it may pass, or it may be about one of them all the same.
_NAMELESS = (-1, 2)


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """Where a lane sends, and how its senders' names begin; at least once they need none."""

    brokers: str
    client_id: str
    exactly_once: bool
    progress_topic: str
    timeout_s: float


class Sender:
    """Sends batches; `name` is None at least once, and no other sender ever has the same."""

    def __init__(
        self, config: SenderConfig, name: str | None, delivery: Delivery, topics: Topics, caution: Caution
    ) -> None:
        self._config = config
        self.name = name
        self._delivery = delivery
        self._topics = topics
        self._caution = caution

    async def fault(self) -> str | None:
        """Why nothing could be sent just now, as far as asking the brokers for metadata can tell."""
        return None if await self._delivery.client.force_metadata_update() else "no broker answers"

    async def learn(self, topics: Collection[str]) -> None:
        """See Topics.learn."""
        await self._topics.learn(self._delivery.client, topics)

    def forget_missing(self) -> None:
        """See Topics.forget_missing."""
        self._topics.forget_missing()

    def suspects(self, rows: Sequence[Row]) -> bool:
        """Whether there may be a reason against any of them: quicker than to ask for each."""
        return bool(self._caution.condemned) or self._topics.suspects(rows)

    def reason_against(self, row: Row) -> str | None:
        """Why the row must not be sent, or None."""
        return self._caution.condemned.get(row[1]) or self._topics.reason_against(row)

    async def last_marks(self, senders: Collection[str]) -> list[Sent]:
        """What these senders sent last; what they had under way has ended by then, and they can send no more."""
        with _faults_of_kafka():
            async with answered(self._config.timeout_s):
                await settle(self._delivery.client, senders)
                await free(self._delivery.client, self._config.progress_topic, senders)
            return await last_marks(self._config.brokers, self._config.progress_topic, senders)

    async def forget_marks(self, senders: Collection[str]) -> None:
        """Let the marks of these senders be removed: nobody will ask for them."""
        parcels: dict[TopicPartition, list[SplicedBatch]] = {}
        for sender in senders:
            tombstone = tombstone_of(sender, transactional=self.name is not None)
            parcels.setdefault(partition_of(self._config.progress_topic, sender), []).append(tombstone)
        await self._deliver(parcels)

    async def send(self, rows: Sequence[Row], sent: Sequence[Sent]) -> None:
        """Send the rows; exactly once in one transaction with a mark that lists `sent`.

        Raises Refused when the broker refuses records, Transient when it is unknown what became of them.
        """
        parcels = self._parcels(rows)
        if self.name is not None:
            parcels[partition_of(self._config.progress_topic, self.name)] = [mark_of(self.name, sent)]
        await self._deliver(parcels)

    async def _deliver(self, parcels: Parcels) -> None:
        try:
            with _faults_of_kafka():
                async with asyncio.timeout(self._config.timeout_s):
                    outcomes = await self._delivery.send(parcels)
        except TimeoutError:
            raise Transient(f"Kafka did not take a batch within {self._config.timeout_s:g} s") from None
        for outcome in outcomes:
            if outcome.answer.verdict is Verdict.TAKEN:
                outgoing(outcome.target.topic).acknowledged(outcome.batch.record_count(), outcome.batch.bytes)
        self._raise_failures(outcomes)

    def _raise_failures(self, outcomes: Sequence[Outcome]) -> None:
        """Refusals first: sending those records again can't help."""
        failed = [outcome for outcome in outcomes if outcome.answer.verdict is not Verdict.TAKEN]
        refused: list[tuple[list[int], str]] = []
        denied: list[str] = []
        for outcome in failed:
            topic, answer = outcome.target.topic, outcome.answer
            if topic == self._config.progress_topic:
                continue
            if answer.verdict is Verdict.DENIED:
                self._topics.deny(topic, answer.reason)
                denied.append(f"{topic}: {answer.reason}")
            elif answer.verdict in (Verdict.TOO_LARGE, Verdict.REFUSED) or self._is_suspect(answer.code):
                refused += self._refusals(outcome)
        if refused or denied:
            delivered = [] if self.name else ids_of([each.batch for each in outcomes if each not in failed])
            raise Refused(refused, delivered, denied)
        for outcome in failed:
            raise Transient(f"Kafka: {outcome.target.topic}: {outcome.answer.reason}")

    def _is_suspect(self, code: int) -> bool:
        return code in _NAMELESS and self._caution.nameless()

    def _refusals(self, outcome: Outcome) -> list[tuple[list[int], str]]:
        """The records that the broker names, each by itself with its reason; where it names none, all of the batch."""
        batch, answer, topic = outcome.batch, outcome.answer, outcome.target.topic
        if named := [(batch.ids[place], why) for place, why in answer.faults if 0 <= place < len(batch.ids)]:
            return [([row_id], f"{answer.reason}: {why}" if why else answer.reason) for row_id, why in named]
        if answer.verdict is Verdict.TOO_LARGE:
            if len(batch.ids) > 1:
                self._caution.too_large(topic, batch.bytes)
            else:
                self._topics.too_large(topic, batch.record_bytes, answer.reason)
        return [(batch.ids, answer.reason)]

    def _parcels(self, rows: Sequence[Row]) -> dict[TopicPartition, list[SplicedBatch]]:
        """The rows' batches by partition."""
        now_ms, transactional = time.time_ns() // 1_000_000, self.name is not None
        cluster = self._delivery.client.cluster
        return pack(
            rows,
            lambda topic: _count(cluster.partitions_for_topic(topic), topic),
            wire_bytes=self._caution.wire_bytes,
            wire_rows=self._caution.wire_rows,
            new_batch=lambda: SplicedBatch(now_ms, transactional=transactional),
        )


def _count(partitions: Collection[int] | None, topic: str) -> int:
    if not partitions:
        raise Transient(f"Kafka: topic {topic} has gone just now")
    return len(partitions)


@contextmanager
def _faults_of_kafka() -> Iterator[None]:
    """Raise what Kafka's client reports as Transient."""
    try:
        yield
    except KafkaError as error:
        raise Transient(f"Kafka: {describe(error)}") from error


@asynccontextmanager
async def open_sender(config: SenderConfig, topics: Topics, caution: Caution) -> AsyncIterator[Sender]:
    """A sender with producers of its own, and exactly once with a new name.

    Raises Transient when there is no getting through to Kafka.
    """
    with _faults_of_kafka():
        async with open_client(config.brokers, config.client_id, config.timeout_s) as client:
            if not config.exactly_once:
                async with answered(config.timeout_s):
                    delivery = await open_idempotent(client)
                yield Sender(config, None, delivery, topics, caution)
                return
            # A name is used once: whoever fences it may rely on it that nobody ever sends with it again.
            name = f"{config.client_id}-{secrets.token_hex(4)}"
            async with answered(config.timeout_s):
                await client.add_topic(config.progress_topic)
                transactions = await open_transactions(client, ids_of_sender(name))
            yield Sender(config, name, transactions, topics, caution)
