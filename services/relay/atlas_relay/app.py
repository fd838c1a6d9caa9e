"""The relay: outbox rows onto their topics."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog
from atlas_errors.backoff import retrying
from atlas_kafka.cluster.admin import ensure_topics
from atlas_runtime.metrics import observe_pool
from atlas_runtime.observing.clock import POSTGRES_NOW, Clock
from atlas_runtime.observing.heartbeat import heartbeat
from atlas_runtime.pooler import require_session
from atlas_runtime.serving.probes import Health, serve_probes

from atlas_relay.lanes import Lane, LaneConfig, held_by
from atlas_relay.ownership import Ownership
from atlas_relay.routes import outbox_routes
from atlas_relay.sending.marks import progress_topic
from atlas_relay.sending.sender import SenderConfig
from atlas_relay.settings import RelaySettings
from atlas_relay.watch import listen, publish_stats

# The lanes' part of the 5 s in which the relay stops; what they do not finish by then is settled by the next owner. To
# let go of a producer whose broker is silent and to give the leases back take two seconds more at most.
_FINISH_S = 2.5
_UNWIND_S = 0.5

# A batch is thousands of tuples that reference counts free; by default the collector would go through all of them, and
# all of the process, several times a batch, and find nothing: a sixth of the relay's time.
_COLLECT_AFTER = 200_000

log = structlog.get_logger(__name__)


async def serve(settings: RelaySettings, stop: asyncio.Event) -> None:
    """Relay until `stop`; the batches under way are finished and the leases given back within 5 s of it."""
    gc.set_threshold(_COLLECT_AFTER)
    # Unlike the instance's name no process ever has the same again, so neither a lease nor a transactional id can be
    # taken for the one of another process of that name.
    owner = f"{settings.instance}-{secrets.token_hex(4)}"
    dsn = settings.postgres_dsn.get_secret_value()
    await require_session(lambda: asyncpg.connect(dsn, timeout=2), settings.service, "ATLAS_RELAY_POSTGRES_DSN")
    health = Health(settings.service)
    lanes = [Lane(lane_config(settings, owner, number), health) for number in range(settings.relay_producers)]
    ownership = Ownership(owner, dsn, settings.relay_lease_s, lanes, health)
    health.add("groups", lambda: _all_held(ownership, lanes))
    health.add("kafka", lanes[0].fault)
    health.add("postgres", ownership.fault)
    async with (
        _lazy_pool(dsn) as pool,
        serve_probes(settings, health, routes=outbox_routes(settings, owner, pool)),
        asyncio.TaskGroup() as tasks,
    ):
        health.add("clock", Clock("PostgreSQL", lambda: pool.fetchval(POSTGRES_NOW)).check)
        tasks.create_task(_until(stop, heartbeat(settings, health, stop), _FINISH_S), name="heartbeat")
        tasks.create_task(_until(stop, publish_stats(pool, stop)), name="stats")
        tasks.create_task(_until(stop, listen(dsn, lanes, stop)), name="listen")
        await retrying(
            lambda: ensure_topics(settings.kafka_brokers, [progress_topic(settings.relay_progress_topic)]),
            what="progress topic",
            stop=stop,
            on_retry=lambda reason: health.note("progress topic", reason),
        )
        await relay(lanes, ownership, stop)


async def relay(lanes: Sequence[Lane], ownership: Ownership, stop: asyncio.Event) -> None:
    """Run the lanes and the leases until `stop`, then let the lanes finish, then give the leases back."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_until(stop, ownership.run(stop)), name="leases")
            running = [tasks.create_task(lane.run(stop), name=f"lane-{n}") for n, lane in enumerate(lanes)]
            tasks.create_task(_cut_off(running, stop), name="cut-off")
    finally:
        await ownership.leave()


def lane_config(settings: RelaySettings, owner: str, number: int) -> LaneConfig:
    """The configuration of one lane; the names of its senders begin with the owner and its number."""
    return LaneConfig(
        name=f"lane {number}",
        dsn=settings.postgres_dsn.get_secret_value(),
        sender=SenderConfig(
            brokers=settings.kafka_brokers,
            client_id=f"atlas-relay-{owner}-{number}",
            exactly_once=settings.relay_delivery == "exactly_once",
            progress_topic=settings.relay_progress_topic,
            timeout_s=settings.relay_send_timeout_s,
        ),
        rows=settings.relay_batch_rows,
        bytes=settings.relay_batch_bytes,
        poll_s=settings.relay_poll_s,
        max_record_bytes=settings.relay_max_record_bytes,
    )


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None], grace_s: float = 0.0) -> None:
    """Run what may be cut off: so long after `stop` it is cancelled, also in the middle of what nobody answers."""
    running, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait((running,), timeout=grace_s)
        if done:
            running.result()
    finally:
        stopped.cancel()
        running.cancel()
        # Not for longer: a connection that is given back to its pool would wait for the server as well.
        await asyncio.wait((running,), timeout=_UNWIND_S)


async def _cut_off(lanes: Sequence["asyncio.Task[None]"], stop: asyncio.Event) -> None:
    await stop.wait()
    _done, slow = await asyncio.wait(lanes, timeout=_FINISH_S)
    for lane in slow:
        log.warning("a batch is left to the next owner", lane=lane.get_name())
        lane.cancel()


async def _all_held(ownership: Ownership, lanes: Sequence[Lane]) -> str | None:
    waiting = set(ownership.epochs) - held_by(lanes)
    return f"groups {sorted(waiting)} are not relayed yet" if waiting else None


@asynccontextmanager
async def _lazy_pool(dsn: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """Connections for figures and parked rows; opened at the first use, so that the database may be away at start."""
    pool = asyncpg.create_pool(dsn, min_size=0, max_size=2, command_timeout=10, timeout=5)
    await pool
    observe_pool(pool, "relay")
    try:
        yield pool
    finally:
        pool.terminate()
