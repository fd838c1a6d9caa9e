"""The whole way of an event on real servers: a gateway, a projector and an archiver on a topic of their own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from atlas_archive.chain.listing import summaries
from atlas_archive.format.records import Record
from atlas_archive.history import histories, read_history
from atlas_archive.store import S3Address, S3Store, open_store
from atlas_archive.tables.export import export
from atlas_archiver.app import serve as archive
from atlas_archiver.settings import ArchiverSettings
from atlas_cli.archived.export_readings import readings_of
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_gateway.app import serve as answer
from atlas_gateway.settings import GatewaySettings
from atlas_kafka.consuming.loop import ConsumerConfig, consume
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.producer import open_producer
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection, Row, Value
from atlas_projector.live import Live
from atlas_readmodel.cache import open_cache
from atlas_readmodel.postgres.pg_codecs import set_codecs
from atlas_readmodel.stores import Stores, open_redis
from atlas_readmodel.table import Table

READY_S = 30.0


@dataclass(frozen=True)
class Chain:
    """The services' settings, and what a test asks of them."""

    servers: Servers
    dsn: str
    bucket: str
    prefix: str
    folder: Path

    @property
    def topic(self) -> str:
        """The topic of the events under test."""
        return f"{self.prefix}events"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of a service."""
        return {
            "_env_file": None,
            "kafka_brokers": self.servers.kafka_brokers,
            "postgres_dsn": self.dsn,
            "redis_url": self.servers.redis_url,
            "redis_namespace": self.prefix,
            "s3_endpoint": self.servers.s3_endpoint,
            "s3_region": self.servers.s3_region,
            "s3_access_key": self.servers.s3_access_key,
            "s3_secret_key": self.servers.s3_secret_key,
            "s3_bucket": self.bucket,
            "schemas_dir": self.folder,
            **more,
        }

    @asynccontextmanager
    async def running(self, projection: Projection) -> AsyncIterator[aiohttp.ClientSession]:
        """Gateway, archiver and the projection, until the block ends; calls the gateway."""
        stop = asyncio.Event()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        async with AsyncExitStack() as stack:
            live = await self._live(projection, stack)
            config = ConsumerConfig(self.servers.kafka_brokers, f"{self.prefix}p", projection.topics, "test")
            session = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
            services = [
                asyncio.create_task(answer(GatewaySettings(**self.settings(http_port=port)), stop)),
                asyncio.create_task(archive(ArchiverSettings(**self.settings(
                    service=f"{self.prefix}a", http_port=0, archiver_segment_max_age_s=0.3)), stop)),
            ]  # fmt: skip
            try:
                await wait_until("the gateway to be ready", lambda: _is_ready(session, services), READY_S)
                services.append(asyncio.create_task(consume(config, live, stop, lambda _reason: None)))
                yield session
            finally:
                stop.set()
                await asyncio.gather(*services)

    async def _live(self, projection: Projection, stack: AsyncExitStack) -> Live:
        pool = await stack.enter_async_context(asyncpg.create_pool(self.dsn, min_size=1, max_size=8, init=set_codecs))
        cache = await stack.enter_async_context(open_cache(self.servers.redis_url, namespace=self.prefix))
        producer = await stack.enter_async_context(open_producer(self.servers.kafka_brokers, "test"))
        redis = await stack.enter_async_context(open_redis(self.servers.redis_url))
        store = Stores(pool, redis, self.prefix).of(projection.model)
        return Live(projection, store, cache, Codec(Registry.load(self.folder)), DeadLetters(producer))

    @asynccontextmanager
    async def store(self) -> AsyncIterator[S3Store]:
        """Where the archive is."""
        servers = self.servers
        address = S3Address(
            self.bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key, servers.s3_region
        )
        async with open_store(address) as opened:
            yield opened

    async def archived(self, count: int, topic: str = "") -> list[Record]:
        """A topic's archived records, once there are so many; of the one under test, where none is named."""
        topic = topic or self.topic
        async with self.store() as store:

            async def there() -> bool:
                return sum(partition.records for partition in await summaries(store, topic)) >= count

            await wait_until(f"{count} records to be archived", there, READY_S)
            (incarnation,) = {partition.incarnation for partition in await summaries(store, topic)}
            found: list[Record] = []
            for history in (await histories(store, topic, incarnation)).values():
                async with aclosing(read_history(store, history)) as blocks:
                    async for block in blocks:
                        found += block
            return found

    async def exported(self, folder: Path, topic: str = "") -> None:
        """Write a topic's archive as Parquet, as `atlas archive export` does."""
        topic = topic or self.topic
        readings = readings_of(Registry.load(self.folder))
        async with self.store() as store:
            (incarnation,) = {partition.incarnation for partition in await summaries(store, topic)}
            for history in (await histories(store, topic, incarnation)).values():
                done = await export(store, history, folder, readings)
                assert done.unreadable == 0


async def _is_ready(session: aiohttp.ClientSession, services: list["asyncio.Task[None]"]) -> bool:
    for service in services:
        if service.done():
            service.result()
    try:
        async with session.get("/health/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def kept_whole(_row: Row | None, event: Value, _meta: Any) -> Row:
    """The event as it is, in a column of jsonb."""
    return {"k": event["k"], "event": dict(event)}


def projection_of(topic: str, events: list[str], handler: Callable[..., Row] = kept_whole) -> Projection:
    """A projection that keeps every event whole."""
    table = Table({"k": "text NOT NULL", "event": "jsonb NOT NULL"}, ("k",))
    return Projection(
        name="whole", version=1, topics=(topic,), table=table, handlers=dict.fromkeys(events, handler), cached=False
    )
