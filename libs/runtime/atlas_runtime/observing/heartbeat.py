"""Heartbeats: what tells the mesh that this process is alive, and how it is."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from atlas_contracts.codec import Codec
from atlas_contracts.headers import cloud_event_headers
from atlas_contracts.registry import Registry
from atlas_contracts.topics import Topic
from atlas_errors.backoff import wait_unless
from atlas_errors.policy import Transient, describe
from atlas_kafka.producing.outgoing import RecordRefused, RecordTooLarge
from atlas_kafka.producing.producer import Outgoing, Producer, open_producer, send_one

from atlas_runtime.observing.clock import off
from atlas_runtime.observing.loops import show
from atlas_runtime.serving.probes import Health
from atlas_runtime.settings import ServiceSettings

EVENT_TYPE = "health.Heartbeat"

_GOODBYE_TIMEOUT_S = 1.0  # of the drain time: what is in flight on the service's own path matters more

# Of one heartbeat; TimeoutError is an OSError.
_NOT_SENT = (KafkaError, OSError, Transient, RecordRefused, RecordTooLarge)

log = structlog.get_logger(__name__)


async def heartbeat(settings: ServiceSettings, health: Health, stop: asyncio.Event) -> None:
    """Send a Heartbeat each `heartbeat_interval_s` until `stop`, then one that says STOPPING.

    A heartbeat is sent at most once and waited for no longer than an interval: while Kafka is away some are lost, the
    service goes on, and so do the heartbeats once it is back. The broker's time on it is compared with this machine's,
    and readiness says when they differ: so every service that sends them knows when its clock is off. It says what each
    of `health.loops` is doing, which /metrics shows too while this runs. Marks `health` as
    stopping as soon as `stop` is set, and returns within about 2 s of it.
    """
    registry = Registry.load(settings.schemas_dir)
    # A schemas folder of one's own may be of a version before.
    known = frozenset(field["name"] for field in registry.latest(EVENT_TYPE).parsed["fields"])
    heartbeat = _Heartbeats(settings, health, Codec(registry), registry.topic_of(EVENT_TYPE), known)
    marking = asyncio.create_task(_mark_stopping(health, stop))
    hide = show(health.loops)
    stack = AsyncExitStack()
    try:
        producer = await stack.enter_async_context(
            open_producer(settings.kafka_brokers, f"{settings.instance}-heartbeat", stop=stop)
        )
        while not stop.is_set():
            await heartbeat.send(producer, settings.heartbeat_interval_s)
            await wait_unless(stop, settings.heartbeat_interval_s)
        await heartbeat.send(producer, _GOODBYE_TIMEOUT_S)
    except (KafkaError, OSError) as error:
        if not stop.is_set():
            raise
        log.warning("no heartbeat was ever sent", error=describe(error))
    finally:
        marking.cancel()
        hide()
        await _close(stack)


@dataclass(frozen=True, slots=True)
class _Heartbeats:
    settings: ServiceSettings
    health: Health
    codec: Codec
    topic: Topic
    known: frozenset[str]

    async def send(self, producer: Producer, timeout_s: float) -> None:
        """Send one heartbeat; a failure is logged, never raised."""
        value = await self._value()
        headers = cloud_event_headers(
            event_type=EVENT_TYPE,
            source=f"/{self.settings.service}/{self.settings.instance}",
            subject=self.settings.service,
            time_ms=value["sent_at"],
        )
        key = self.topic.key_of(EVENT_TYPE, value)
        heartbeat = Outgoing(self.topic.name, key, self.codec.encode(EVENT_TYPE, value), headers)
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                sent = await send_one(producer, heartbeat)
            if sent.appended_ms is not None:
                took_s = time.monotonic() - began
                self.health.note("kafka_clock", off("Kafka", sent.appended_ms / 1000, time.time(), took_s))
        except _NOT_SENT as error:
            log.warning("heartbeat not sent", state=value["state"], error=describe(error))

    async def _value(self) -> dict[str, Any]:
        reasons = await self.health.reasons()
        value = {
            "service": self.settings.service,
            "instance": self.settings.instance,
            "state": "STOPPING" if self.health.stopping else "NOT_READY" if reasons else "READY",
            "reasons": reasons,
            "started_at": self.health.started_at_ms,
            "sent_at": time.time_ns() // 1_000_000,
            "interval_ms": round(self.settings.heartbeat_interval_s * 1000),
            "version": self.health.version,
            "environment": self.settings.environment,
            "loops": [
                {
                    "name": loop.name,
                    "doing": loop.doing,
                    "waits": loop.waits,
                    "since_ms": round(loop.since_s * 1000),
                    "progress_ms": None if loop.progress_s is None else round(loop.progress_s * 1000),
                    "stuck": loop.stuck,
                }
                for loop in self.health.loops.standing()
            ],
        }
        return {name: said for name, said in value.items() if name in self.known}


async def _mark_stopping(health: Health, stop: asyncio.Event) -> None:
    await stop.wait()
    health.stopping = True


async def _close(stack: AsyncExitStack) -> None:
    """Close the producer, but don't wait for brokers that are away."""
    try:
        async with asyncio.timeout(_GOODBYE_TIMEOUT_S):
            await stack.aclose()
    except (KafkaError, OSError) as error:
        log.warning("heartbeat producer not closed", error=describe(error))
