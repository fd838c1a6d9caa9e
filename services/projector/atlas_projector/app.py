"""The projector: topics in, read models out."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog
from aiohttp import web
from atlas_archive.store import S3Address
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_contracts.topics import WhenRecreated
from atlas_errors.backoff import Backoff, wait_unless
from atlas_errors.policy import describe
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.consuming.loop import ConsumerConfig, consume
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.producer import open_producer
from atlas_projection.canary import CANARIES
from atlas_projection.projection import Projection
from atlas_readmodel.cache import open_cache
from atlas_readmodel.stores import Stores, open_stores
from atlas_runtime import contexts
from atlas_runtime.breakers import open_breaker
from atlas_runtime.metrics import RETRIES, observe_pool, observe_redis
from atlas_runtime.observing.clock import POSTGRES_NOW, Clock
from atlas_runtime.observing.heartbeat import heartbeat
from atlas_runtime.pooler import require_session
from atlas_runtime.serving.probes import Health, serve_probes

from atlas_projector.declared import faults
from atlas_projector.live import Live, OtherVersion, group_of
from atlas_projector.rebuilding.rebuilds import Rebuilds
from atlas_projector.rebuilding.workers import Setup
from atlas_projector.routes import projection_routes
from atlas_projector.settings import ProjectorSettings
from atlas_projector.standstill import ended_at_standstill
from atlas_projector.waiting.dead_letters import dead_letter_routes
from atlas_projector.waiting.leaving_out import leaving_out_routes
from atlas_projector.waiting.new_schemas import Schemas

log = structlog.get_logger(__name__)

# A larger batch folds more events into each row; but each projection holds two (one is written while the next is made),
# at some 2.5 KB a record. With these two, four projections at full speed take 160 MB.
MAX_RECORDS = 2500
FETCH_BYTES = 1024 * 1024
OTHER_VERSION_RETRY_S = 5.0
# A projection that failed as a whole is begun again after this, and after twice as long each time.
FAILED_RETRY_S = 5.0
FAILED_RETRY_MAX_S = 300.0


async def serve(settings: ProjectorSettings, stop: asyncio.Event) -> None:
    """Run every projection, and the rebuilds asked for, until `stop`. One that can't be right is refused alone."""
    _collect_garbage_less_often()
    dsn = settings.readmodel_dsn.get_secret_value()
    await require_session(lambda: asyncpg.connect(dsn, timeout=2), settings.service, "ATLAS_PROJECTOR_READMODEL_DSN")
    registry = Registry.load(settings.schemas_dir)
    projections = installed(settings)
    refused = faults(projections, registry)
    codec = Codec(registry)
    health = Health(settings.service)
    for projection in projections:  # before the probes answer: they would say ready while nothing runs yet
        health.note(f"projection {projection.name}", "starting")
    lives: dict[str, Live] = {}
    async with (
        _open_stores(settings) as stores,
        _open_rebuilds(stores, codec, _setup(settings), lives) as rebuilds,
        # The probes first: they answer while the rest waits for Kafka.
        serve_probes(settings, health, routes=_routes(projections, stores, lives, rebuilds, codec)),
        open_cache(settings.redis_url, await open_breaker("redis"), namespace=settings.redis_namespace) as cache,
        open_producer(settings.kafka_brokers, f"{settings.instance}-dead-letters", stop=stop) as producer,
    ):
        observe_redis(cache.connections, "cache")
        await ensure_topics(settings.kafka_brokers, [TopicSpec(*topic) for topic in registry.kafka_topics()])
        schemas = Schemas(settings.schemas_dir, registry, codec)
        stops = [t.name for t in registry.topics.values() if t.when_recreated is WhenRecreated.STOP]
        for projection in projections:
            store, dead_letters = stores.of(projection.model), DeadLetters(producer)
            lives[projection.name] = live = Live(projection, store, cache, codec, dead_letters, stops=stops)
            live.schemas = schemas
        health.add("clock", Clock("PostgreSQL", lambda: stores.pool.fetchval(POSTGRES_NOW)).check)
        async with ended_at_standstill(settings.projector_standstill_s), asyncio.TaskGroup() as tasks:
            tasks.create_task(heartbeat(settings, health, stop))
            for live in lives.values():
                if reason := refused.get(live.projection.name):
                    refuse(live, reason, health)
                else:
                    tasks.create_task(project(live, settings, rebuilds, health, stop))


def installed(settings: ProjectorSettings) -> Sequence[Projection]:
    """The projections of the contexts that this process runs, and the one of canaries where these are on."""
    return contexts.flat(contexts.PROJECTIONS, settings.contexts) + ([CANARIES] if settings.canary else [])


def refuse(live: Live, reason: str, health: Health) -> None:
    """Do not run a projection that can't be right: its rows would be wrong, or stand still, and nobody be told."""
    name = live.projection.name
    live.reason = f"refused: {reason}"
    health.note(f"projection {name}", live.reason)
    log.error("projection refused", projection=name, reason=reason)


async def project(
    live: Live, settings: ProjectorSettings, rebuilds: Rebuilds, health: Health, stop: asyncio.Event
) -> None:
    """Keep one projection going; where readers see another version of it, first rebuild it into this one.

    Whatever it fails of is its own: it says so and begins again later, beside the others.
    """
    name = live.projection.name
    config = ConsumerConfig(
        brokers=settings.kafka_brokers,
        group=group_of(name),
        topics=live.projection.topics,
        client_id=f"{settings.instance}-{name}",
        session_s=settings.kafka_session_s,
        max_records=MAX_RECORDS,
        max_partition_fetch_bytes=FETCH_BYTES,
        light=True,
        co_partitioned=len(live.projection.topics) > 1,
        steps=health.loops.add(name),
    )

    def on_state(reason: str | None) -> None:
        live.reason = live.trouble() if reason is None else reason
        health.note(f"projection {name}", live.reason)

    on_state("starting")
    backoff = Backoff(FAILED_RETRY_S, FAILED_RETRY_MAX_S)
    while not stop.is_set():
        began_at = time.monotonic()
        try:
            await consume(config, live, stop, on_state)
        except OtherVersion as other:
            on_state(str(other))
            log.warning("other version", projection=name, reason=str(other))
            while not stop.is_set() and not await rebuilds.upgrade(name, stop):
                await wait_unless(stop, OTHER_VERSION_RETRY_S)
        except MemoryError:
            raise
        except Exception as error:  # this projection's alone: the others go on
            if time.monotonic() - began_at > FAILED_RETRY_MAX_S:
                backoff.reset()
            pause_s = backoff.next_s()
            RETRIES.labels(f"projection {name}").inc()
            on_state(f"failed: {describe(error)}; tried again in {pause_s:.0f} s")
            log.error("projection failed", projection=name, error=describe(error), exc_info=error)
            await wait_unless(stop, pause_s)
            live.try_again()
    on_state("stopped")


def _collect_garbage_less_often() -> None:
    """A batch is thousands of young objects without a cycle among them: by default, looking for cycles in them takes a
    fifth of the processor time (26 against 21 µs an event).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@asynccontextmanager
async def _open_stores(settings: ProjectorSettings) -> AsyncIterator[Stores]:
    dsn, size = settings.readmodel_dsn.get_secret_value(), settings.readmodel_pool_max
    async with open_stores(dsn, settings.redis_url, settings.redis_namespace, max_size=size) as stores:
        observe_pool(stores.pool, "readmodel")
        observe_redis(stores.redis.connection_pool, "documents")
        yield stores


def _routes(
    projections: Sequence[Projection], stores: Stores, lives: Mapping[str, Live], rebuilds: Rebuilds, codec: Codec
) -> list[web.RouteDef]:
    by_name = {projection.name: stores.of(projection.model) for projection in projections}
    ruled = leaving_out_routes({projection.name: projection for projection in projections}, by_name)
    return projection_routes(stores, lives, rebuilds) + dead_letter_routes(by_name, codec) + ruled


def _setup(settings: ProjectorSettings) -> Setup:
    archive = S3Address(**settings.s3_address())
    return Setup(
        brokers=settings.kafka_brokers,
        dsn=settings.readmodel_dsn.get_secret_value(),
        schemas_dir=str(settings.schemas_dir),
        redis_url=settings.redis_url,
        namespace=settings.redis_namespace,
        contexts=settings.contexts,
        archive=archive if settings.projector_rebuild_from_archive else None,
        workers=settings.projector_rebuild_workers,
        load=settings.projector_rebuild_load,
    )


@asynccontextmanager
async def _open_rebuilds(
    stores: Stores, codec: Codec, setup: Setup, lives: Mapping[str, Live]
) -> AsyncIterator[Rebuilds]:
    rebuilds = Rebuilds(stores, codec, setup, lives)
    try:
        yield rebuilds
    finally:
        await rebuilds.close()
