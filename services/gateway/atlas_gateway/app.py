"""The gateway: what it opens, in order, and the application it serves with it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_errors.backoff import wait_unless
from atlas_errors.policy import Fate, fate_of
from atlas_flags.providers import provide
from atlas_http import idempotency
from atlas_http.incoming import expect_continue
from atlas_http.resources import RESOURCES, Pool
from atlas_http.routes import Route
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.producing.producer import open_producer
from atlas_outbox.waker import open_waker
from atlas_projection.canary import CANARIES
from atlas_projection.projection import Projection
from atlas_readmodel.cache import Cache, open_cache
from atlas_readmodel.postgres.pg_codecs import set_reading_codecs
from atlas_readmodel.reader import Reader
from atlas_readmodel.redis.documents_reader import DocumentsReader
from atlas_readmodel.stores import open_redis
from atlas_runtime import contexts
from atlas_runtime.breakers import open_breaker
from atlas_runtime.metrics import observe_redis, timed_query
from atlas_runtime.observing.clock import POSTGRES_NOW, Clock
from atlas_runtime.observing.heartbeat import heartbeat
from atlas_runtime.observing.loops import Loop
from atlas_runtime.serving import http_server
from atlas_runtime.serving.http_guard import Guard
from atlas_runtime.serving.probes import Health, probe_routes

from atlas_gateway import canary, databases, middleware, read_models, registry, topics
from atlas_gateway.databases import open_pool
from atlas_gateway.describing import docs, openapi
from atlas_gateway.mesh_health import MeshHealth
from atlas_gateway.opened import GATEWAY, Gateway, Requests
from atlas_gateway.posting import events
from atlas_gateway.posting.posts import open_posts
from atlas_gateway.settings import GatewaySettings

_PURGE_INTERVAL_S = 60.0
# Below the runtime's limit for the whole stop, so that connections can still be closed in order.
_DRAIN_S = 8.0

log = structlog.get_logger(__name__)


async def serve(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Answer HTTP until `stop`; then say not ready, finish the requests in flight (8 s at most) and close."""
    schemas = Registry.load(settings.schemas_dir)
    provide(settings.flags, settings.flags_file)
    projections = contexts.flat(contexts.PROJECTIONS, settings.contexts) + ([CANARIES] if settings.canary else [])
    own = own_routes(settings.contexts, projections) + (list(canary.ROUTES) if settings.canary else [])
    await ensure_topics(settings.kafka_brokers, [TopicSpec(*topic) for topic in schemas.kafka_topics()])
    state_dsn, readmodel_dsn = (dsn.get_secret_value() for dsn in (settings.postgres_dsn, settings.readmodel_dsn))
    timeout_s = settings.gateway_postgres_timeout_s
    async with (
        open_pool(state_dsn, "state", max_size=settings.postgres_pool_max, timeout_s=timeout_s, stop=stop) as state,
        open_pool(
            readmodel_dsn,
            "readmodel",
            max_size=settings.readmodel_pool_max,
            timeout_s=timeout_s,
            stop=stop,
            init=set_reading_codecs,
        ) as readmodel,
        open_producer(settings.kafka_brokers, settings.instance, stop=stop) as producer,
        open_posts(state, settings, stop) as posts,
        open_waker(state_dsn) as waker,
        open_cache(settings.redis_url, await open_breaker("redis"), namespace=settings.redis_namespace) as cache,
        open_redis(settings.redis_url) as redis,
    ):
        documents = DocumentsReader(redis, namespace=settings.redis_namespace)
        reader = Reader(readmodel, cache, documents, read_models.versioned(projections), timed_query)
        observe_redis(cache.connections, "cache")
        observe_redis(redis.connection_pool, "documents")
        resources = Gateway(
            settings=settings,
            registry=schemas,
            codec=Codec(schemas),
            pool=state,
            reader=reader,
            waker=waker,
            producer=producer,
            posts=posts,
            requests=Requests(),
        )
        health = make_health(resources, readmodel, cache)
        app = make_app(resources, health, own)
        collect_garbage_rarely()
        async with serve_http(app, settings), asyncio.TaskGroup() as side_tasks:
            side_tasks.create_task(heartbeat(settings, health, stop))
            side_tasks.create_task(purge_keys(state, stop, health.loops.add("purge keys")))
            await stop.wait()
            health.stopping = True
            if not await resources.requests.drain(_DRAIN_S):
                log.warning("requests are cut off", after_s=_DRAIN_S)


def own_routes(chosen: Collection[str], projections: Iterable[Projection]) -> list[Route]:
    """The routes of the chosen contexts: those that they write, and those that their projections declare."""
    return [*contexts.flat(contexts.ROUTES, chosen), *read_models.routes(projections)]


def documented(registry_: Registry, own: Iterable[Route]) -> tuple[Route, ...]:
    """Every route that the document describes."""
    return (*own, *topics.ROUTES, *events.routes(registry_), *registry.routes())


def collect_garbage_rarely() -> None:
    """Keep the collector from the millions of short-lived containers that records are: 10 % of a large request's time.

    What is there now stays for good, and is not looked at again; a request's garbage has no cycles to speak of.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def make_app(resources: Gateway, health: Health, own: Iterable[Route]) -> web.Application:
    """The application: the contexts' own routes and the gateway's, each with its documentation, inside the middlewares
    that all requests pass.
    """
    routes = documented(resources.registry, own)
    settings = resources.settings
    origins = middleware.origin_pattern(settings.gateway_cors_origins)
    app = web.Application(
        middlewares=[
            middleware.context,
            middleware.cors(settings.gateway_cors_origins),
            middleware.compression,
            middleware.problems,
            http_server.readable,
            middleware.guarded(Guard(settings.service, settings.http_hosts, origins), routes),
        ]
    )
    app[RESOURCES] = resources
    app[GATEWAY] = resources
    app.add_routes(
        [web.route(route.method, route.path, route.handler, expect_handler=expect_continue) for route in routes]
    )
    app.add_routes(registry.write_routes())
    app.add_routes(probe_routes(health))
    app.add_routes(MeshHealth(settings.health_url).routes())
    app.add_routes([openapi.route("/openapi.json", openapi.document(routes, resources.registry, health.version))])
    app.add_routes(docs.routes())
    return app


def make_health(resources: Gateway, readmodel: Pool, cache: Cache) -> Health:
    """Ready means: PostgreSQL and Kafka answer. Redis is only a cache: without it the gateway is degraded."""
    health = Health(resources.settings.service)
    health.environment = resources.settings.environment

    async def state_answers() -> str | None:
        return await databases.check(resources.pool)

    async def readmodel_answers() -> str | None:
        return await databases.check(readmodel)

    async def kafka_answers() -> str | None:
        updated = await resources.producer.client.force_metadata_update()
        return None if updated else "no broker answers"

    health.add("postgres", state_answers)
    health.add("readmodel", readmodel_answers)
    health.add("kafka", kafka_answers)
    health.add("cache", cache.check, needed=False)
    health.add("clock", Clock("PostgreSQL", lambda: resources.pool.fetchval(POSTGRES_NOW)).check)
    return health


@asynccontextmanager
async def serve_http(app: web.Application, settings: GatewaySettings) -> AsyncIterator[int]:
    """Listen on http_host:http_port within the block; gives the port that is bound (http_port 0 takes a free one)."""
    async with http_server.listen(app, settings.http_host, settings.http_port) as port:
        log.info("listening", host=settings.http_host, port=port)
        yield port


async def purge_keys(pool: Pool, stop: asyncio.Event, loop: Loop) -> None:
    """Until `stop`, delete the idempotency keys whose time is over, once a minute and a thousand at a time."""
    loop.waits("the next minute")
    while not await wait_unless(stop, _PURGE_INTERVAL_S):
        try:
            loop.does("delete old keys")
            while await idempotency.purge(pool) and not stop.is_set():
                loop.does("delete old keys")
            loop.moved()
        except Exception as error:
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            log.warning("idempotency keys were not purged", error=str(error))
        loop.waits("the next minute")
