"""Sends what waits in partition queues: a request at a time to each broker, with a batch for each of its partitions."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Coroutine
from typing import Any

import structlog
from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    NodeNotReadyError,
    NoError,
    UnknownTopicOrPartitionError,
    for_code,
)
from atlas_errors.backoff import Backoff
from atlas_errors.metrics import RETRIES
from atlas_errors.policy import describe

from atlas_kafka.internals.protocol import InitProducerIdRequest
from atlas_kafka.metrics import PRODUCE_SECONDS, PRODUCERS_RENEWED, RECORDS_REFUSED, outgoing
from atlas_kafka.producing.partition_queue import Batch, Identity, Next, PartitionQueue
from atlas_kafka.producing.produce_answers import Answer, Verdict
from atlas_kafka.wire.produce import Produce, answers_of

# One produce request carries a batch a partition; 256 KiB amortises the request without delaying the first record.
BATCH_BYTES = 256 * 1024
_BATCH_BYTES_MIN = 1024
_REQUEST_BYTES = 1024 * 1024
# Packing this many takes about 10 ms, for which the event loop does nothing else.
_REQUEST_RECORDS = 2000
_REQUEST_TIMEOUT_MS = 10_000
_TRANSACTION_TIMEOUT_MS = 60_000  # has to be there, and is not looked at where there is no transaction
# Between two looks for a partition's leader.
_PAUSE_S = 0.05
# So long a topic that refused a batch for its size gets smaller ones; then what was refused may be allowed again.
_SMALLER_FOR_S = 60.0

log = structlog.get_logger(__name__)


class Dispatcher:
    """Serves the queues that `schedule` names until they are empty; a queue without a leader waits for one.

    Nothing that a broker answers ends it. What goes wrong unforeseen fails the records at hand, and no others.
    """

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._ready: dict[int, deque[PartitionQueue]] = defaultdict(deque)
        self._serving: set[int] = set()
        self._leaderless: set[PartitionQueue] = set()
        self._smaller: dict[str, tuple[int, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def identify(self) -> Identity:
        """A new producer for the brokers. Raises KafkaError."""
        node = self._client.get_random_node()
        answer = await self._client.send(node, InitProducerIdRequest(None, _TRANSACTION_TIMEOUT_MS))
        if (error := for_code(answer.error_code)) is not NoError:
            raise error()
        return Identity(answer.producer_id, answer.producer_epoch)

    def schedule(self, queue: PartitionQueue) -> None:
        """There is something to send in the queue."""
        if queue.scheduled or queue.idle:
            return
        queue.scheduled = True
        if queue.identity is None:
            self._start(self._renew(queue))
            return
        leader = self._client.cluster.leader_for_partition(TopicPartition(queue.topic, queue.partition))
        if leader is None or leader < 0:
            self._look(queue)
            return
        self._ready[leader].append(queue)
        if leader not in self._serving:
            self._serving.add(leader)
            self._start(self._serve(leader))

    def cancel(self) -> None:
        """Send nothing more."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, node: int) -> None:
        ready = self._ready[node]
        while ready:
            if batches := self._pack(ready):
                await self._produce(node, batches)
        self._serving.discard(node)

    def _pack(self, ready: deque[PartitionQueue]) -> dict[PartitionQueue, Batch]:
        batches: dict[PartitionQueue, Batch] = {}
        records = size = 0
        while ready and records < _REQUEST_RECORDS and size < _REQUEST_BYTES:
            queue = ready.popleft()
            batch = queue.next_batch(self._batch_bytes(queue.topic), _REQUEST_RECORDS - records)
            if batch is None:
                queue.scheduled = False
                continue
            batches[queue] = batch
            records += len(batch.entries)
            size += len(batch.packed)
        return batches

    async def _produce(self, node: int, batches: dict[PartitionQueue, Batch]) -> None:
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for queue, batch in batches.items():
            topics[queue.topic].append((queue.partition, batch.packed))
        answers: dict[tuple[str, int], Answer] = {}
        sent = True
        try:
            begun = time.perf_counter()
            answers = answers_of(await self._client.send(node, Produce(_REQUEST_TIMEOUT_MS, topics)))
            PRODUCE_SECONDS.observe(time.perf_counter() - begun)
        except NodeNotReadyError:
            sent = False
        except (KafkaError, OSError) as error:
            log.warning("no answer from a broker", broker=node, error=describe(error))
        except Exception as error:
            log.exception("records were not sent")
            for queue in batches:
                queue.give_up(error)
                queue.scheduled = False
                self.schedule(queue)
            return
        for queue, batch in batches.items():
            queue.scheduled = False
            answer = answers.get((queue.topic, queue.partition))
            step = queue.unanswered(sent=sent) if answer is None else self._answered(queue, batch, answer)
            if step is Next.LOOK and not queue.idle:
                queue.scheduled = True
                self._look(queue)
            else:
                self.schedule(queue)

    def _answered(self, queue: PartitionQueue, batch: Batch, answer: Answer) -> Next:
        step = queue.answered(answer)
        count = len(batch.entries)
        if answer.verdict is Verdict.TAKEN:
            outgoing(queue.topic).acknowledged(count, len(batch.packed))
            return step
        if answer.verdict is Verdict.TOO_LARGE and count > 1:
            half = max(_BATCH_BYTES_MIN, len(batch.packed) // 2)
            self._smaller[queue.topic] = half, time.monotonic() + _SMALLER_FOR_S
        if answer.verdict in (Verdict.TOO_LARGE, Verdict.REFUSED) and (count == 1 or answer.faults):
            RECORDS_REFUSED.labels(queue.topic).inc(len(answer.faults) or 1)
        log.info("batch not taken", topic=queue.topic, partition=queue.partition, records=count, answer=answer.reason)
        return step

    def _batch_bytes(self, topic: str) -> int:
        if topic not in self._smaller:
            return BATCH_BYTES
        limit, until = self._smaller[topic]
        if time.monotonic() < until:
            return limit
        del self._smaller[topic]
        return BATCH_BYTES

    def _look(self, queue: PartitionQueue) -> None:
        if not self._leaderless:
            self._start(self._find_leaders())
        self._leaderless.add(queue)

    async def _find_leaders(self) -> None:
        """Ask for the leaders of all queues that have none, until each has one or nothing waits in it."""
        while self._leaderless:
            await asyncio.sleep(_PAUSE_S)
            answered = await self._client.force_metadata_update()
            cluster = self._client.cluster
            for queue in list(self._leaderless):
                queue.forget_dropped()
                leader = cluster.leader_for_partition(TopicPartition(queue.topic, queue.partition))
                if answered and leader is None and not queue.idle:
                    queue.withheld(UnknownTopicOrPartitionError(f"there is no topic {queue.topic}"))
                if queue.idle or (leader is not None and leader >= 0):
                    self._leaderless.discard(queue)
                    queue.scheduled = False
                    self.schedule(queue)

    async def _renew(self, queue: PartitionQueue) -> None:
        """Give the queue a new identity, however long that takes; its records fail when there may be none."""
        backoff = Backoff()
        while queue.identity is None and not queue.idle:
            try:
                queue.renew(await self.identify())
                PRODUCERS_RENEWED.inc()
            except (ClusterAuthorizationFailedError, IncompatibleBrokerVersion) as error:
                queue.fail(error)
            except (KafkaError, OSError) as error:
                RETRIES.labels("new producer id").inc()
                log.warning("no new producer id", topic=queue.topic, partition=queue.partition, error=describe(error))
                await asyncio.sleep(backoff.next_s())
                queue.forget_dropped()
        queue.scheduled = False
        self.schedule(queue)
