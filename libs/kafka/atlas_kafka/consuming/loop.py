"""The one loop every consumer of Atlas runs: poll, handle, commit.

    service app.serve()  →  consume(config, sink, stop)  →  sink.handle(records)

What is durable is the sink's own business (a database position, a manifest); the group's offsets are committed after it
so that lag tools see them, and a sink that keeps no offsets of its own may rely on them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from atlas_errors.backoff import Backoff, retrying
from atlas_errors.metrics import RETRIES
from atlas_errors.policy import Fate, describe, fate_of

from atlas_kafka.consuming.attention import PATIENCE_S
from atlas_kafka.consuming.blocked import BlockedWatch
from atlas_kafka.consuming.positions import step_over_damage
from atlas_kafka.consuming.session import LOOK_EVERY_S, Session
from atlas_kafka.consuming.sink import ConsumerConfig, Offsets, PositionBeyondEnd, Records, Rewind, Sink
from atlas_kafka.fetching.fetch_by_id import FetchById, fetch_by_id
from atlas_kafka.fetching.foreignrecords import accept_foreign_records
from atlas_kafka.fetching.lightrecords import give_light_records
from atlas_kafka.fetching.rawbatches import give_batches
from atlas_kafka.starting import METADATA_MAX_AGE_MS, start_whole

__all__ = ["ConsumerConfig", "Offsets", "OnState", "PositionBeyondEnd", "Records", "Sink", "consume"]

log = structlog.get_logger(__name__)

_REBALANCE_MS = 10_000

# Somebody may give the right back, or make the topic: a state with its reason, and no crash.
_PASSING = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, UnknownTopicOrPartitionError)

# Told what keeps the loop from working, and None when it works again.
OnState = Callable[[str | None], None]


async def consume(config: ConsumerConfig, sink: Sink, stop: asyncio.Event, on_state: OnState = lambda _: None) -> None:
    """Feed `sink` until `stop` is set. Every committed record reaches it at least once, in order a partition.

    1. Rewind: after an assignment or a fault, seek to what the sink says is durable.
    2. Poll; drop what was fetched under an assignment that has ended meanwhile (1 reads it again).
    3. Handle: the sink makes records durable.
    4. Commit the sink's durable offsets to the group; a failure to commit is noted and passed over.

    Of a topic that was deleted and made again nothing is taken for the old one's: records are fetched by the topic's
    id, and 1 follows within seconds. While a topic is missing, the others are read, and `on_state` hears of it.

    A transient error backs off and begins again at 1; Rewind does so at once. Any other is raised, after the group was
    left.
    """
    async with _consumer(config, stop) as (consumer, fetching):
        session, blocked = Session(config, sink, consumer, fetching), BlockedWatch()
        consumer.subscribe(topics=list(config.topics), listener=session)
        watching = asyncio.create_task(_watch(session, on_state))
        backoff = Backoff()
        try:
            while not stop.is_set():
                try:
                    await _turn(session, consumer, fetching, config)  # 1 to 4
                    if fetching.damages.waiting:
                        await step_over_damage(consumer, fetching, config.group)
                except Rewind:
                    session.rewind_due = True
                except Exception as error:
                    if fate_of(error) is not Fate.TRANSIENT and not isinstance(error, _PASSING):
                        raise
                    session.rewind_due = True
                    RETRIES.labels(f"consume {config.group}").inc()
                    log.warning(
                        "consumer backs off", group=config.group, attempt=backoff.failures + 1, error=describe(error)
                    )
                    on_state(describe(error))
                    config.steps.waits(describe(error))
                    await backoff.wait(stop)
                else:
                    if session.caught_breath:
                        backoff.reset()
                        on_state(session.trouble or await blocked.look(consumer))
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await session.close()


async def _turn(session: Session, consumer: AIOKafkaConsumer, fetching: FetchById, config: ConsumerConfig) -> None:
    """The steps of `consume`, once; it says which it is at."""
    steps = config.steps
    if session.rewind_due:
        steps.does("look where to begin")
        await session.rewind()  # 1
    steps.does("look for records")
    records = await _poll(session, consumer, fetching, config)  # 2
    if records:
        steps.does("handle records")
    await session.handle(records)  # 3, 4
    if records:
        steps.moved()


async def _poll(session: Session, consumer: AIOKafkaConsumer, fetching: FetchById, config: ConsumerConfig) -> Records:
    """What was fetched, or nothing after `idle_s`; at once where nothing is read and partitions are assigned."""
    reading = bool(fetching.ids)
    records: Records = await consumer.getmany(
        timeout_ms=int(config.idle_s * 1000) if reading else 0, max_records=config.max_records
    )
    if not reading and not records:
        with suppress(TimeoutError):
            async with asyncio.timeout(config.idle_s):
                await session.new_assignment.wait()
    return records


async def _watch(session: Session, on_state: OnState) -> None:
    """See now and then whether all that should be read is read, also while the loop waits for an assignment."""
    answered_at = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            await session.look()
            answered_at = time.monotonic()
        except (KafkaError, OSError, TimeoutError) as error:
            if time.monotonic() - answered_at > PATIENCE_S:
                session.trouble = f"the brokers do not answer: {describe(error)}"
        if session.trouble is not None:
            on_state(session.trouble)


@asynccontextmanager
async def _consumer(config: ConsumerConfig, stop: asyncio.Event) -> AsyncIterator[tuple[AIOKafkaConsumer, FetchById]]:
    accept_foreign_records()

    async def start() -> tuple[AIOKafkaConsumer, FetchById]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=config.brokers,
            group_id=config.group,
            client_id=config.client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if config.read_committed else "read_uncommitted",
            max_partition_fetch_bytes=config.max_partition_fetch_bytes,
            session_timeout_ms=int(config.session_s * 1000),
            heartbeat_interval_ms=int(config.session_s * 200),
            # Members have this to let go of what they hold, however soon a dead one is to be noticed.
            rebalance_timeout_ms=max(_REBALANCE_MS, int(config.session_s * 1000)),
            request_timeout_ms=15_000,
            partition_assignment_strategy=[
                RangePartitionAssignor if config.co_partitioned else RoundRobinPartitionAssignor
            ],
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        try:
            await start_whole(consumer.start())
        except BaseException:
            await consumer.stop()
            raise
        fetching = fetch_by_id(consumer, config.group)
        if config.raw:
            give_batches(consumer)
        elif config.light:
            give_light_records(consumer)
        return consumer, fetching

    consumer, fetching = await retrying(start, what=f"consumer start {config.group}", stop=stop)
    try:
        yield consumer, fetching
    finally:
        await consumer.stop()
