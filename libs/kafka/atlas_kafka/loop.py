"""The one loop every consumer of Atlas runs: poll, handle, commit.

    service app.serve()  →  consume(config, sink, stop)  →  sink.handle(records)

What is durable is the sink's own business (a database position, a manifest); the group's offsets are committed after it
so that lag tools see them, and a sink that keeps no offsets of its own may rely on them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from atlas_kafka.blocked import BlockedWatch
from atlas_kafka.fates import Fate, backoff_s, describe, fate_of, retrying, wait_unless
from atlas_kafka.lightrecords import give_light_records
from atlas_kafka.metrics import REBALANCES, RECORDS_IN, RECORDS_LOST, RETRIES
from atlas_kafka.rawbatches import give_batches
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole

log = structlog.get_logger(__name__)

Records = Mapping[TopicPartition, Sequence[ConsumerRecord]]
Offsets = Mapping[TopicPartition, int]
# Told what keeps the loop from working, and None when it works again.
OnState = Callable[[str | None], None]

# A commit only tells lag tools where we are: it must not hold up the next batch while a coordinator is away.
COMMIT_TIMEOUT_S = 5.0
# Between two commits while records come: lag tools look no closer, and each is a write of the broker's.
COMMIT_EVERY_S = 0.25


class PositionBeyondEnd(Exception):
    """A sink's position lies past the end of its partition: the topic was deleted and made again under it."""


class Sink(Protocol):
    """Where records go. It alone says what is durable."""

    async def start_offsets(self, partitions: Collection[TopicPartition]) -> Offsets:
        """Where to begin, for the partitions whose position the sink keeps itself; others begin at the group's commit.

        Also called after a transient error: the sink then forgets what it held of these partitions.
        """

    async def handle(self, records: Records) -> Offsets:
        """Take records, in offset order a partition; answer the next offsets that are now durable.

        Called with nothing at least every `idle_s`, so that what is held can be closed by age.
        """

    async def release(self, partitions: Collection[TopicPartition]) -> Offsets:
        """The partitions go to somebody else, or the loop stops: make durable or drop what is held of them."""


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
    # Bounds memory: at most this much a partition is fetched ahead of the sink.
    max_partition_fetch_bytes: int = 2 * 1024 * 1024
    # The sink gets RawBatch instead of records, and `max_records` counts them.
    raw: bool = False
    # The sink gets LightRecord instead of records.
    light: bool = False


async def consume(config: ConsumerConfig, sink: Sink, stop: asyncio.Event, on_state: OnState = lambda _: None) -> None:
    """Feed `sink` until `stop` is set. Every committed record reaches it at least once, in order a partition.

    1. Rewind: after an assignment or a fault, seek to what the sink says is durable.
    2. Poll; drop what was fetched under an assignment that has ended meanwhile (1 reads it again).
    3. Handle: the sink makes records durable.
    4. Commit the sink's durable offsets to the group; a failure to commit is noted and passed over.

    A transient error backs off and begins again at 1. Any other is raised, after the group was left.
    """
    async with _consumer(config, stop) as consumer:
        session, blocked = _Session(config, sink, consumer), BlockedWatch()
        consumer.subscribe(topics=list(config.topics), listener=session)
        attempt = 0
        try:
            while not stop.is_set():
                try:
                    if session.rewind_due:
                        await session.rewind()  # 1
                    records = await consumer.getmany(  # 2
                        timeout_ms=int(config.idle_s * 1000), max_records=config.max_records
                    )
                    await session.handle(records)  # 3, 4
                except Exception as error:
                    if fate_of(error) is not Fate.TRANSIENT:
                        raise
                    session.rewind_due = True
                    RETRIES.labels(f"consume {config.group}").inc()
                    log.warning("consumer backs off", group=config.group, attempt=attempt + 1, error=describe(error))
                    on_state(describe(error))
                    await wait_unless(stop, backoff_s(attempt))
                    attempt += 1
                else:
                    if session.caught_breath:
                        attempt = 0
                        on_state(await blocked.look(consumer))
        finally:
            await session.close()


@asynccontextmanager
async def _consumer(config: ConsumerConfig, stop: asyncio.Event) -> AsyncIterator[AIOKafkaConsumer]:
    async def start() -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=config.brokers,
            group_id=config.group,
            client_id=config.client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if config.read_committed else "read_uncommitted",
            max_partition_fetch_bytes=config.max_partition_fetch_bytes,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            request_timeout_ms=15_000,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        try:
            await start_whole(consumer.start())
        except BaseException:
            await consumer.stop()
            raise
        if config.raw:
            give_batches(consumer)
        elif config.light:
            give_light_records(consumer)
        return consumer

    consumer = await retrying(start, what=f"consumer start {config.group}", stop=stop)
    try:
        yield consumer
    finally:
        await consumer.stop()


class _Session(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer's assignment over time: keeps handling and rebalancing out of each other's way."""

    def __init__(self, config: ConsumerConfig, sink: Sink, consumer: AIOKafkaConsumer) -> None:
        self._config = config
        self._sink = sink
        self._consumer = consumer
        # Held while the sink works: a rebalance waits for the batch in flight, partitions are not taken from under it.
        self._busy = asyncio.Lock()
        # Next offsets, by partition: given to the sink, durable in it, committed to the group.
        self._given: dict[TopicPartition, int] = {}
        self._durable: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self.rewind_due = False
        self.caught_breath = False

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if not revoked:
            return
        async with self._busy:
            await self._release(revoked)
            self.rewind_due = True

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        # Only noted here: aiokafka logs and swallows what a listener raises, and a sink that can't answer yet must be
        # asked again. The loop seeks before it handles anything.
        REBALANCES.labels(self._config.group).inc()
        self.rewind_due = True
        log.info(
            "assigned", group=self._config.group, partitions=sorted(f"{tp.topic}/{tp.partition}" for tp in assigned)
        )

    async def rewind(self) -> None:
        """Seek every assigned partition to where the sink, or else the group, says that it is durable."""
        async with self._busy:
            self.rewind_due = False
            assignment = self._consumer.assignment()
            if not assignment:
                return
            try:
                durable = await self._sink.start_offsets(assignment)
                first = await self._consumer.beginning_offsets(list(assignment))
                end = await self._consumer.end_offsets(list(assignment))
                begins: dict[TopicPartition, int] = {}
                for partition in assignment:
                    offset = durable.get(partition)
                    if offset is None:
                        offset = await self._consumer.committed(partition) or 0
                    begins[partition] = self._within(partition, offset, first[partition], end[partition])
                if self._consumer.assignment() != assignment:
                    # Between a revocation and the new assignment the old one still shows; it has just been replaced.
                    self.rewind_due = True
                    return
                for partition, begin in begins.items():
                    self._consumer.seek(partition, begin)
                    self._given[partition] = self._durable[partition] = begin
                    self._committed.pop(partition, None)
            except BaseException:
                self.rewind_due = True
                raise

    def _within(self, partition: TopicPartition, offset: int, first: int, end: int) -> int:
        if offset > end:
            raise PositionBeyondEnd(
                f"{self._config.group} is at offset {offset} of {partition.topic}/{partition.partition}, which ends at"
                f" {end}: the topic was made anew; rebuild from it or restore it"
            )
        if offset >= first:
            return offset
        if offset > 0:
            RECORDS_LOST.labels(partition.topic, self._config.group).inc(first - offset)
            log.error(
                "retention deleted unread records",
                group=self._config.group,
                topic=partition.topic,
                partition=partition.partition,
                expected_offset=offset,
                first_offset=first,
            )
        return first

    async def handle(self, records: Records) -> None:
        """Hand the records to the sink, then commit what it made durable."""
        async with self._busy:
            if self.rewind_due:
                self.caught_breath = False
                return
            durable = await self._sink.handle(records)
            for partition, batch in records.items():
                records_in = sum(part.records for part in batch) if self._config.raw else len(batch)
                RECORDS_IN.labels(partition.topic, self._config.group).inc(records_in)
                self._given[partition] = batch[-1].offset + 1
            self._durable.update(durable)
            if not records or time.monotonic() - self._committed_at >= COMMIT_EVERY_S:
                await self._commit(durable)
            self.caught_breath = True

    async def close(self) -> None:
        """Let go of everything: what the sink can still make durable is committed."""
        async with self._busy:
            await self._release(self._consumer.assignment())

    async def _release(self, partitions: Collection[TopicPartition]) -> None:
        try:
            await self._commit(await self._sink.release(partitions))
        except Exception as error:
            # Whoever gets the partitions begins at what is durable, so nothing is lost; a bug must not hide, though.
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            log.warning("could not release cleanly", group=self._config.group, error=describe(error))

    async def _commit(self, durable: Offsets) -> None:
        held = self._consumer.assignment()
        self._committed_at = time.monotonic()
        self._durable.update(durable)
        offsets: dict[TopicPartition, int] = {}
        for partition, offset in self._durable.items():
            if partition not in held:
                continue
            # Where everything given is durable, transaction markers and aborted records that follow are behind us too:
            # without this a group that has read all of a transactional topic would seem to lag for ever.
            reached = await self._consumer.position(partition) if offset == self._given.get(partition) else offset
            if reached > self._committed.get(partition, -1):
                offsets[partition] = reached
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            log.warning("offsets not committed", group=self._config.group, error=describe(error))
        else:
            self._committed.update(offsets)
