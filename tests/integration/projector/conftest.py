"""A rig: a topic, a database and a cache of the test's own, and projections pointed at them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import orjson
import pytest
from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.cluster.partitions_now import PartitionNow, partitions_now
from atlas_kafka.consuming.loop import ConsumerConfig, consume
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.producer import Delivery, Outgoing, Producer, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection
from atlas_projector.live import Live
from atlas_projector.rebuilding.rebuilds import Rebuilds
from atlas_projector.rebuilding.workers import Setup
from atlas_readmodel.cache import Cache, open_cache
from atlas_readmodel.documents import Documents
from atlas_readmodel.postgres.pg_codecs import set_codecs
from atlas_readmodel.store import Store
from atlas_readmodel.stores import Stores, open_redis
from atlas_readmodel.waiting.parking import Parked, State

from tests.contexts import NAMES, SCHEMAS
from tests.neutral import PROJECTIONS

PARTITIONS = 2


@dataclass
class Rig:
    """Everything a projection needs, of this test alone."""

    servers: Servers
    topic: str
    dsn: str
    pool: "asyncpg.Pool[Any]"
    cache: Cache
    codec: Codec
    producer: Producer
    stores: Stores

    def pointed(self, projection: Projection, **changed: Any) -> Projection:
        """The projection, reading this test's topic."""
        return replace(projection, topics=(self.topic,), **changed)

    def live(self, projection: Projection) -> Live:
        return Live(projection, self.stores.of(projection.model), self.cache, self.codec, DeadLetters(self.producer))

    @property
    def dead_letters(self) -> DeadLetters:
        """Where what can't be handled goes."""
        return DeadLetters(self.producer)

    def by_name(self) -> dict[str, Store]:
        """The store of every projection."""
        return {projection.name: self.stores.of(projection.model) for projection in PROJECTIONS}

    @property
    def setup(self) -> Setup:
        """What rebuild workers are told; without an archive."""
        brokers, redis_url = self.servers.kafka_brokers, self.servers.redis_url
        return Setup(brokers, self.dsn, str(SCHEMAS), None, redis_url, self.stores.namespace, contexts=NAMES, workers=0)

    def rebuilds(self, *lives: Live) -> Rebuilds:
        named = {live.projection.name: live for live in lives}
        return Rebuilds(self.stores, self.codec, self.setup, named)

    @asynccontextmanager
    async def running(
        self, live: Live, *, group: str | None = None, max_records: int = 500
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """The consumer loop of a projection, in a group of this test; stopped in order at the end."""
        stop = asyncio.Event()
        config = ConsumerConfig(
            self.servers.kafka_brokers, group or uuid.uuid4().hex, (self.topic,), "test", max_records=max_records
        )

        def on_state(reason: str | None) -> None:
            live.reason = reason

        task = asyncio.create_task(consume(config, live, stop, on_state))
        try:
            yield task
        finally:
            stop.set()
            await task

    async def send(
        self,
        event_type: str,
        value: Mapping[str, Any],
        *,
        key: str,
        sequence: int | None = None,
        partition: int | None = None,
    ) -> Delivery:
        headers = [("ce_type", event_type.encode())]
        if sequence is not None:
            headers.append(("ce_sequence", str(sequence).encode()))
        return await self.send_raw(self.codec.encode(event_type, value), key=key, headers=headers, partition=partition)

    async def send_raw(
        self, value: bytes | None, *, key: str, headers: Any = (), partition: int | None = None
    ) -> Delivery:
        (sent,) = await send_all(
            self.producer, [Outgoing(self.topic, key.encode(), value, headers, partition=partition)]
        )
        assert isinstance(sent, Delivery), sent
        return sent

    async def register(
        self, yard_id: str, version: int = 1, *, email: str = "a@x", partition: int | None = None
    ) -> Delivery:
        value = {
            "yard_id": yard_id,
            "email": email,
            "display_name": "A",
            "country": None,
            "registered_at": version,
        }
        return await self.send("yards.YardRegistered", value, key=yard_id, sequence=version, partition=partition)

    async def fly(self, count: int, start: int = 0) -> None:
        """Hauls with ids from `start`, every tenth cancelled, spread over the partitions."""
        outgoing = []
        for n in range(start, start + count):
            value: dict[str, Any] = {
                "haul_id": f"f{n}",
                "carrier": ("UA", "AA", "DL")[n % 3],
                "haul_number": n,
                "truck_number": None,
                "origin": ("EWR", "JFK")[n % 2],
                "destination": f"D{n % 5}",
                "scheduled_departure": n,
                "distance_miles": n,
            }
            kind = "hauls.HaulCancelled" if n % 10 == 0 else "hauls.HaulDeparted"
            if n % 10:
                value |= {"departure_delay_minutes": n % 40, "arrival_delay_minutes": None, "drive_time_minutes": n}
            headers = [("ce_type", kind.encode())]
            outgoing.append(Outgoing(self.topic, value["haul_id"].encode(), self.codec.encode(kind, value), headers))
        for result in await send_all(self.producer, outgoing):
            assert isinstance(result, Delivery), result

    async def now(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, PartitionNow]:
        """What a sink is told of these partitions."""
        async with open_reader(self.servers.kafka_brokers, "test-now") as reader:
            return await partitions_now(reader, partitions)

    async def ends(self) -> dict[str, int]:
        """Where the topic's partitions end."""
        async with open_reader(self.servers.kafka_brokers, "test-ends") as reader:
            ranges = await topic_ranges(reader, (self.topic,))
        return {f"{place.topic}/{place.partition}": end for place, (_first, end) in ranges.items()}

    async def positions(self, projection: Projection) -> dict[str, int]:
        """The durable positions of the live generation."""
        store = self.stores.of(projection.model)
        live = await store.in_state("live")
        positions = {} if live is None else await store.rows(live.number).positions()
        return {f"{topic}/{partition}": at for (topic, partition), at in positions.items()}

    async def live_generation(self, projection: Projection) -> int:
        """The number of the generation that readers see."""
        live = await self.stores.of(projection.model).in_state("live")
        assert live is not None
        return live.number

    async def waiting(self, projection: Projection) -> list[Parked]:
        """What waits in the live generation."""
        return list((await self.stores.of(projection.model).parked(list(State), 1000)).records)

    async def projected(self, projection: Projection) -> None:
        """Have the live loop do what is on the topic, then stop it."""
        async with self.running(self.live(projection)):
            await self.settled(projection)

    async def settled(self, projection: Projection, seconds: float = 20) -> None:
        """Wait until the live generation has everything that is on the topic now."""
        ends = await self.ends()

        async def there() -> bool:
            return await self.positions(projection) == ends

        await wait_until(f"{projection.name} at the end of its topic", there, seconds)

    async def rows(self, projection: Projection, generation: int | None = None) -> list[dict[str, Any]]:
        """Every row of the view, or of one generation's table, in order; of documents, whatever is kept."""
        if isinstance(projection.table, Documents):
            number = generation or (await self.live_generation(projection))
            rows = await self.stores.redis.hgetall(f"{self.topic}:{{{projection.name}}}:g{number}:rows")
            return [orjson.loads(rows[key]) for key in sorted(rows)]
        relation = f"readmodel.{projection.name}" + (f"_g{generation}" if generation else "")
        return [dict(row) for row in await self.pool.fetch(f"SELECT * FROM {relation} AS every ORDER BY every")]


@pytest.fixture
async def rig(servers: Servers, database: str, make_topic: MakeTopic) -> AsyncIterator[Rig]:
    topic = await make_topic(partitions=PARTITIONS)
    await make_topic(f"{topic}.dlq", partitions=1)
    codec = Codec(Registry.load(SCHEMAS))
    async with (
        asyncpg.create_pool(database, min_size=1, max_size=16, command_timeout=30, init=set_codecs) as pool,
        open_cache(servers.redis_url, namespace=topic) as cache,
        open_producer(servers.kafka_brokers, "test-rig") as producer,
        open_redis(servers.redis_url) as redis,
    ):
        yield Rig(servers, topic, database, pool, cache, codec, producer, Stores(pool, redis, topic))
        if names := [name async for name in redis.scan_iter(f"{topic}:*")]:
            await redis.delete(*names)


@pytest.fixture(params=["postgres", "redis"])
def kept(request: pytest.FixtureRequest) -> Callable[[Projection], Projection]:
    """A projection with its rows in a table, and the same one with its rows in Redis alone."""

    def keep(projection: Projection) -> Projection:
        if request.param == "postgres":
            return projection
        table = projection.table
        return replace(projection, table=Documents(table.key, per_partition=table.per_partition), cached=False)

    return keep
