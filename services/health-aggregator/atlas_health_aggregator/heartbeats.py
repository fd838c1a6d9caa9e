"""Heartbeats from Kafka, by Faust.

    app.serve()  →  consume_heartbeats()  →  handle(value)

Faust runs as a guest: no worker, no web server, no signal handlers, no logging of its own, no table and so no
changelog topic. What is known is rebuilt from the heartbeats themselves within a few seconds.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import faust
import structlog
from aiokafka import ConsumerRecord
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_errors.backoff import retrying
from atlas_errors.policy import describe
from atlas_kafka.fetching.foreignrecords import accept_foreign_records
from atlas_kafka.metrics import incoming
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.starting import METADATA_MAX_AGE_MS
from atlas_runtime.observing.heartbeat import EVENT_TYPE
from mode import CrashingSupervisor
from prometheus_client import Counter

from atlas_health_aggregator.judging.admission import Heartbeat, OddHeartbeat, Oddity, admitted
from atlas_health_aggregator.lead import Lead
from atlas_health_aggregator.settings import HealthAggregatorSettings

Handle = Callable[[Heartbeat], None]

STOP_TIMEOUT_S = 4.0
# At most, and the shortest that brokers allow by default (group.min.session.timeout.ms): after a kill the group is
# stuck for as long, and nobody is judged meanwhile.
SESSION_TIMEOUT_S = 6.0
# Bounds memory: records of a megabyte are possible, heartbeats have some 200 bytes and come a few a second.
FETCH_BYTES = 256 * 1024
BUFFERED_RECORDS = 64
# Dead letters of odd heartbeats: this many at once, then so many a second.
LETTERS_AT_ONCE = 20.0
LETTERS_PER_S = 2.0
LETTER_TIMEOUT_S = 2.0
# None is tried for so long after one failed: meanwhile nobody would be heard.
LETTERS_PAUSE_S = 30.0

HEARTBEATS_SET_ASIDE = Counter("atlas_health_heartbeats_set_aside", "Heartbeats that were not taken", ["reason"])

log = structlog.get_logger(__name__)


async def consume_heartbeats(
    settings: HealthAggregatorSettings,
    lead: Lead,
    topic: str,
    receive: "Receiver",
    stop: asyncio.Event,
) -> None:
    """Give every heartbeat of `topic` to `receive` until `stop`, each at least once, in order a partition.

    1. A heartbeat is received: handled, or set aside.
    2. It is acknowledged; Faust commits what is acknowledged every second.

    Waits, backing off, for brokers that are away; raises what Faust crashes of.
    """
    failures: list[Exception] = []
    failed = asyncio.Event()

    async def take(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                await receive(event.message)  # 1
                event.ack()  # 2
        except Exception as error:
            failures.append(error)
            failed.set()
            raise

    async def start() -> faust.App:
        app = _build(settings, lead)
        source = app.topic(topic, key_type=bytes, value_type=bytes)
        # Concurrency 1: with more, a commit can pass a heartbeat that is still in flight.
        app.agent(source, name="heartbeats", concurrency=1, supervisor_strategy=CrashingSupervisor)(take)
        try:
            await app.start()
        except BaseException:
            await app.stop()
            raise
        return app

    app = await retrying(start, what="faust start", stop=stop)
    log.info("listening for heartbeats", topic=topic, group=settings.service)
    try:
        await app.wait_first(stop.wait(), failed.wait())
    finally:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await app.stop()
    if failures:
        raise failures[0]
    if app.crashed:
        raise RuntimeError("faust crashed") from app.crash_reason


class Receiver:
    """Decodes a heartbeat, checks it and hands it on; one that is odd is set aside alone.

    Set aside means: counted with the reason, and a dead letter, but of a flood only the first and then a few a second:
    the topic itself keeps every record for its retention, and live services must be heard meanwhile.
    """

    def __init__(self, codec: Codec, dead_letters: DeadLetters, group: str, handle: Handle) -> None:
        self._codec = codec
        self._dead_letters = dead_letters
        self._group = group
        self._handle = handle
        self._letters = LETTERS_AT_ONCE
        self._letters_at = time.monotonic()

    async def __call__(self, message: Any) -> None:
        """Never raises for what the record holds: no record may stop the aggregator."""
        counted = incoming(message.topic, self._group)
        # Faust does not tell how large the batches were that it fetched.
        counted.fetched(len(message.key or b"") + len(message.value or b""))
        try:
            self._handle(self._heartbeat(message.value))
        except OddHeartbeat as odd:
            await self._set_aside(message, odd)
        except Exception as error:
            log.exception("heartbeat not handled", offset=message.offset)
            await self._set_aside(message, OddHeartbeat(Oddity.FAILED, describe(error)))
        finally:
            counted.handled(1, round((message.timestamp or -1) * 1000))

    def overhear(self, value: bytes | None) -> None:
        """The same of what another one takes: what is odd is that one's to set aside. Never raises."""
        try:
            self._handle(self._heartbeat(value))
        except OddHeartbeat:
            return
        except Exception:
            log.exception("heartbeat not handled")

    def _heartbeat(self, value: bytes | None) -> Heartbeat:
        try:
            event = self._codec.decode(value or b"")
        except Undecodable as error:
            raise OddHeartbeat(Oddity.UNDECODABLE, error.reason) from error
        if event.type != EVENT_TYPE:
            raise OddHeartbeat(Oddity.OTHER_EVENT, f"{event.type} is no {EVENT_TYPE}")
        return admitted(event.value, time.time_ns() // 1_000_000)

    async def _set_aside(self, message: Any, odd: OddHeartbeat) -> None:
        HEARTBEATS_SET_ASIDE.labels(odd.oddity.value).inc()
        if not self._may_send():
            return
        try:
            async with asyncio.timeout(LETTER_TIMEOUT_S):
                await self._dead_letters.send(_as_record(message), group=self._group, error=str(odd))
        except Exception as error:  # noqa: BLE001 - a letter that can't be written must not silence the living
            self._letters = -LETTERS_PAUSE_S * LETTERS_PER_S
            log.warning("no dead letter", offset=message.offset, reason=str(odd), error=describe(error))

    def _may_send(self) -> bool:
        now = time.monotonic()
        self._letters = min(LETTERS_AT_ONCE, self._letters + (now - self._letters_at) * LETTERS_PER_S)
        self._letters_at = now
        if self._letters < 1:
            return False
        self._letters -= 1
        return True


def _build(settings: HealthAggregatorSettings, lead: Lead) -> faust.App:
    accept_foreign_records()
    session_s = min(SESSION_TIMEOUT_S, settings.kafka_session_s)
    app = faust.App(
        settings.service,
        broker=[f"kafka://{broker.strip()}" for broker in settings.kafka_brokers.split(",")],
        broker_client_id=settings.instance,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 3,
        broker_rebalance_timeout=SESSION_TIMEOUT_S,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="latest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_max_fetch_size=FETCH_BYTES,
        stream_buffer_maxsize=BUFFERED_RECORDS,
        # A stop waits for no heartbeat in flight: what is not acknowledged is read again, and a commit has hung in it.
        stream_wait_empty=False,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,
        autodiscover=False,
        web_enabled=False,
        datadir=tempfile.gettempdir(),  # made at the start and never written to: there are no tables
        loop=asyncio.get_running_loop(),
    )
    app.on_partitions_assigned.connect(lead.assigned)
    app.on_partitions_revoked.connect(lead.revoked)
    return app


def _as_record(message: Any) -> ConsumerRecord:
    headers = message.headers.items() if isinstance(message.headers, Mapping) else message.headers or ()
    return ConsumerRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=round((message.timestamp or 0) * 1000),
        timestamp_type=message.timestamp_type,
        key=message.key,
        value=message.value,
        checksum=None,
        serialized_key_size=len(message.key or b""),
        serialized_value_size=len(message.value or b""),
        headers=tuple(headers),
    )
