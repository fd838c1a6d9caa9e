"""Reads through the gateway while read models are rebuilt, swapped and rolled back under them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import Popen
from typing import Any

import aiohttp
import pytest
from atlas_contracts.codec import Codec
from atlas_hauls.projections.departures import DEPARTURES
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_kafka.consuming.loop import ConsumerConfig, consume
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.producer import Delivery, Outgoing, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection, Row, Value
from atlas_projector.live import Live
from atlas_projector.rebuilding.rebuilds import Rebuilds
from atlas_projector.rebuilding.workers import Setup
from atlas_readmodel.cache import open_cache
from atlas_readmodel.stores import open_stores

READERS_EACH = 3
HAULS_AT_ONCE = 40
# A haul that is told of again and again; readers look at it through the cache.
WATCHED = "watched"
Counted = Callable[[Any], int]


@dataclass
class Mesh:
    """A gateway in a process of its own, and the projector's loops here, on a database of this test."""

    client: aiohttp.ClientSession
    send: Callable[[int], Any]
    lives: dict[str, Live]
    rebuilds: Rebuilds
    sent: int = 0

    async def fly(self) -> None:
        """Some more hauls, and the watched one, a minute later than before."""
        self.sent += HAULS_AT_ONCE
        await self.send(self.sent)

    async def get(self, path: str) -> Any:
        async with self.client.get(path) as response:
            assert response.status == 200, f"{path}: {response.status} {await response.text()}"
            return await response.json()

    async def rebuilt(self, name: str) -> None:
        self.rebuilds.start(name)
        state = await self.rebuilds.wait(name)
        assert state is not None
        assert (state["state"], state["error"]) == ("done", None)


@dataclass
class Watcher:
    """Reads a number that only rises: no read may give less than one that had ended before it began."""

    mesh: Mesh
    path: str
    counted: Counted
    highest: int = 0
    reads: int = 0
    went_back: list[str] = field(default_factory=list)

    async def read(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            before = self.highest
            now = self.counted(await self.mesh.get(self.path))
            self.reads += 1
            if now < before:
                self.went_back.append(f"{self.path}: {now} after {before}")
            self.highest = max(self.highest, now)


def departed(codec: Codec, haul_id: str, number: int) -> bytes:
    value: dict[str, Any] = {
        "haul_id": haul_id, "carrier": "UA", "haul_number": 1, "truck_number": None, "origin": "EWR",
        "destination": f"D{number % 7}", "scheduled_departure": 1_357_035_300_000 + number,
        "departure_delay_minutes": number, "arrival_delay_minutes": None, "drive_time_minutes": None,
        "distance_miles": 1400,
    }  # fmt: skip
    return codec.encode("hauls.HaulDeparted", value)


@pytest.fixture
async def gateway(
    launch: Callable[..., str], processes: dict[str, "Popen[bytes]"], database: str
) -> AsyncIterator[tuple[str, str]]:
    """A gateway's address and its namespace in Redis; stopped before its database goes, which would be an error."""
    namespace = f"t{uuid.uuid4().hex[:8]}"
    url = await asyncio.to_thread(launch, postgres_dsn=database, redis_namespace=namespace)
    yield url, namespace
    process = processes.pop(url)
    process.terminate()
    assert await asyncio.to_thread(process.wait, 12) == 0


@pytest.fixture
async def mesh(
    gateway: tuple[str, str], servers: Servers, database: str, make_topic: MakeTopic, schemas: Path, codec: Codec
) -> AsyncIterator[Mesh]:
    (url, namespace), topic = gateway, await make_topic(partitions=2)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(database, servers.redis_url, namespace, max_size=12))
        cache = await stack.enter_async_context(open_cache(servers.redis_url, namespace=namespace))
        producer = await stack.enter_async_context(open_producer(servers.kafka_brokers, namespace))
        client = await stack.enter_async_context(aiohttp.ClientSession(url))
        stop = asyncio.Event()
        lives = {}
        loops = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stop.set)
        for projection in (HAULS, ROUTES, DEPARTURES):
            pointed = replace(projection, topics=(topic,))
            live = Live(pointed, stores.of(pointed.model), cache, codec, DeadLetters(producer))
            lives[projection.name] = live
            config = ConsumerConfig(servers.kafka_brokers, f"{namespace}.{projection.name}", (topic,), namespace)
            loops.create_task(consume(config, live, stop, lambda _reason: None))
        setup = Setup(servers.kafka_brokers, database, str(schemas), None, servers.redis_url, namespace, workers=0)
        rebuilds = Rebuilds(stores, codec, setup, lives)

        async def send(until: int) -> None:
            hauls = [(f"{namespace}-{n}", n) for n in range(until - HAULS_AT_ONCE, until)] + [(WATCHED, until)]
            headers = [("ce_type", b"hauls.HaulDeparted")]
            records = [Outgoing(topic, key.encode(), departed(codec, key, n), headers) for key, n in hauls]
            assert all(isinstance(result, Delivery) for result in await send_all(producer, records))

        yield Mesh(client, send, lives, rebuilds)
        await rebuilds.close()


def flown(routes: Any) -> int:
    return sum(route["hauls"] for route in routes["items"])


def delay(haul: Any) -> int:
    return int(haul["departure_delay_minutes"])


def latest(board: Any) -> int:
    return delay(board["items"][0])


WATCHED_PATHS: dict[str, Counted] = {"/routes": flown, f"/hauls/{WATCHED}": delay, "/departures/EWR": latest}


async def shown(mesh: Mesh) -> None:
    """Wait until each of the three shows what was sent so far."""

    async def all_there() -> bool:
        for path, counted in WATCHED_PATHS.items():
            async with mesh.client.get(path) as response:
                if response.status != 200 or counted(await response.json()) < mesh.sent:
                    return False
        return True

    await wait_until("the read models to show what was sent", all_there, 30)


async def test_no_read_fails_or_goes_back_while_generations_are_swapped(mesh: Mesh) -> None:
    await mesh.fly()
    await shown(mesh)
    stop = asyncio.Event()
    watchers = [Watcher(mesh, path, counted) for path, counted in WATCHED_PATHS.items()]
    swaps: list[int] = []

    async def write() -> None:
        while not stop.is_set():
            await mesh.fly()

    async def swap() -> None:
        for name in mesh.lives:
            reads = sum(watcher.reads for watcher in watchers)
            await mesh.rebuilt(name)
            swaps.append(sum(watcher.reads for watcher in watchers) - reads)
        stop.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        for watcher in watchers:
            for _ in range(READERS_EACH):
                tasks.create_task(watcher.read(stop))
        tasks.create_task(swap())
    assert [watcher.went_back for watcher in watchers] == [[], [], []]
    assert all(watcher.highest > HAULS_AT_ONCE for watcher in watchers), watchers
    # Each rebuild had reads all through it.
    assert min(swaps) >= 10, swaps
    await shown(mesh)
    assert flown(await mesh.get("/routes")) == mesh.sent + mesh.sent // HAULS_AT_ONCE


def doubled(projection: Projection) -> Projection:
    """The next version, with a mistake in it."""
    name = "hauls.HaulDeparted"
    right = projection.handlers[name]

    def wrong(row: Row | None, event: Value, meta: Any) -> Row | None:
        return right(row, event | {"departure_delay_minutes": 2 * event["departure_delay_minutes"]}, meta)

    return replace(projection, version=2, handlers={**projection.handlers, name: wrong})


@pytest.mark.parametrize("name", ["hauls", "departures"])
async def test_the_first_read_after_a_rollback_shows_the_generation_before(mesh: Mesh, name: str) -> None:
    """One step, whatever is cached: nothing is waited for between the rollback's answer and the read."""
    await mesh.fly()
    await shown(mesh)
    path, counted = next(item for item in WATCHED_PATHS.items() if item[0].startswith(f"/{name}"))
    live = mesh.lives[name]
    live.projection = doubled(live.projection)
    await mesh.rebuilt(name)
    assert counted(await mesh.get(path)) == 2 * mesh.sent
    back = await mesh.rebuilds.rollback(name)
    assert (back.number, back.version) == (1, 1)
    assert counted(await mesh.get(path)) == mesh.sent
