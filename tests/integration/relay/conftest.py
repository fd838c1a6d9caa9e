"""A relay in this process on a database and topics of the test alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_local.waiting import wait_until
from atlas_outbox.writer import OutboxRecord, append_many
from atlas_relay.app import lane_config, relay
from atlas_relay.lanes import Lane
from atlas_relay.ownership import Ownership
from atlas_relay.sending.marks import progress_topic
from atlas_relay.settings import RelaySettings
from atlas_runtime.serving.probes import Health

from tests.integration.relay.crashing import Owner

DEADLINE_S = 20


@dataclass
class Delivered:
    """What a read-committed consumer sees of a topic."""

    brokers: str
    topic: str

    async def read(self) -> list[tuple[str, int]]:
        """Every (key, number) that is on the topic now, each partition in order."""
        return [(r.key.decode(), int(r.value)) for r in await self.records()]

    async def records(self) -> list:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.brokers, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(self.topic, n) for n in consumer.partitions_for_topic(self.topic) or ()]
            if not partitions:
                partitions = [TopicPartition(self.topic, n) for n in await self._partitions(consumer)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found = []
            async with asyncio.timeout(DEADLINE_S):
                while any([await consumer.position(p) < ends[p] for p in partitions]):
                    for records in (await consumer.getmany(timeout_ms=50)).values():
                        found += records
            return found
        finally:
            await consumer.stop()

    async def _partitions(self, consumer: AIOKafkaConsumer) -> set[int]:
        return await consumer._client._wait_on_metadata(self.topic)

    async def until(self, expected: list[tuple[str, int]]) -> None:
        """Wait until exactly these are there, in whatever order over the keys but in this order within a key."""
        seen: list[tuple[str, int]] = []

        async def complete() -> bool:
            seen[:] = await self.read()
            return len(seen) >= len(expected)

        try:
            await wait_until(f"{len(expected)} records", complete)
        finally:
            assert by_key(seen) == by_key(expected)


def by_key(items: list[tuple[str, int]]) -> dict[str, list[int]]:
    keys: dict[str, list[int]] = {}
    for key, number in items:
        keys.setdefault(key, []).append(number)
    return keys


@dataclass
class Outbox:
    """The outbox of one test, its topic, and what was delivered to it."""

    dsn: str
    connection: asyncpg.Connection
    topic: str
    delivered: Delivered

    async def commit(self, *items: tuple[str, int], topic: str | None = None) -> list[int]:
        """Commit one row for each (key, number)."""
        async with self.connection.transaction():
            written = await append_many(self.connection, [self.record(*item, topic=topic) for item in items])
        return [row_id for _event_id, row_id in written]

    def record(self, key: str, number: int, topic: str | None = None) -> OutboxRecord:
        """The record that `commit` writes."""
        headers = [("ce_id", f"{key}-{number}".encode())]
        return OutboxRecord(topic or self.topic, key.encode(), str(number).encode(), headers)

    async def count(self, table: str) -> int:
        """Rows of a table of the outbox."""
        return await self.connection.fetchval(f"SELECT count(*) FROM outbox.{table}")

    async def is_empty(self) -> bool:
        """Whether nothing is left to send or to delete."""
        return await self.count("records") == 0

    async def until_empty(self, seconds: float = 20) -> None:
        """Wait until nothing is left to send or to delete."""
        await wait_until("the outbox to be empty", self.is_empty, seconds)


@dataclass
class Running:
    """A relay that runs: its lanes, its leases."""

    lanes: list[Lane]
    ownership: Ownership
    health: Health
    stop: asyncio.Event
    task: asyncio.Task = field(repr=False)

    def held(self) -> set[int]:
        return {group for lane in self.lanes for group in lane.held}

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 6)


@asynccontextmanager
async def running_relay(
    settings: RelaySettings, owner: str = "relay-a", groups: int | None = 8
) -> AsyncIterator[Running]:
    """A relay within the block, once it holds this many groups."""
    stop, health = asyncio.Event(), Health("relay")
    lanes = [Lane(lane_config(settings, owner, number), health) for number in range(settings.relay_producers)]
    dsn = settings.postgres_dsn.get_secret_value()
    ownership = Ownership(owner, dsn, settings.relay_lease_s, lanes, health)
    task = asyncio.create_task(relay(lanes, ownership, stop))
    running = Running(lanes, ownership, health, stop, task)
    try:
        if groups is not None:
            await wait_until(f"{owner} to hold {groups} groups", lambda: task.done() or len(running.held()) == groups)
        yield running
    finally:
        stop.set()
        if not task.cancelled():
            await asyncio.wait_for(task, 6)


@pytest.fixture
async def outbox(servers, database, make_topic) -> AsyncIterator[Outbox]:
    connection = await asyncpg.connect(database)
    topic = await make_topic()
    yield Outbox(database, connection, topic, Delivered(servers.kafka_brokers, topic))
    await connection.close()


@pytest.fixture
async def settings(servers, database, make_topic) -> RelaySettings:
    spec = progress_topic("ignored")
    progress = await make_topic(partitions=spec.partitions, config=dict(spec.config))
    return RelaySettings(
        postgres_dsn=database,
        kafka_brokers=servers.kafka_brokers,
        relay_progress_topic=progress,
        relay_lease_s=2.0,
        relay_poll_s=0.05,
    )


@pytest.fixture(params=["exactly_once", "at_least_once"])
def each_delivery(settings, request) -> RelaySettings:
    return settings.model_copy(update={"relay_delivery": request.param})


@pytest.fixture
def run_relay():
    """`async with run_relay(settings, owner=…, groups=…) as relay` for a relay that runs within the block."""
    return running_relay


@pytest.fixture
def on_topic(servers):
    """`on_topic(name)`: what is delivered to another topic than the test's own."""
    return lambda name: Delivered(servers.kafka_brokers, name)


@pytest.fixture
async def owner(settings):
    """`await owner(name)`: an instance by hand, which may crash at any step."""
    async with AsyncExitStack() as stack:

        async def make(name: str) -> Owner:
            return await Owner(stack, settings, f"{name}-{uuid4().hex[:6]}").start()

        yield make
