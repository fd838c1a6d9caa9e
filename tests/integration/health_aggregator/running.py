"""An aggregator in this process, what it answers, and services that do nothing but heartbeat."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_health_aggregator.app import serve
from atlas_health_aggregator.changes import EVENT_TYPE
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_local.waiting import wait_until
from atlas_runtime.observing.heartbeat import heartbeat
from atlas_runtime.serving.probes import Health
from atlas_runtime.settings import ServiceSettings


@asynccontextmanager
async def running_aggregator(settings: HealthAggregatorSettings, *, leads: bool = True) -> AsyncIterator["Asked"]:
    """The service in this process, up, and the one that tells if it `leads`; ended as a signal would end it."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, stop))
    async with aiohttp.ClientSession() as client:
        asked = Asked(client, f"http://127.0.0.1:{settings.http_port}")

        async def up() -> bool:
            raise_if_done(task)
            return await asked.is_up(settings.service) and (not leads or await asked.leads())

        try:
            await wait_until("the aggregator is up", up, 20)
            yield asked
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)


def raise_if_done(task: "asyncio.Task[None]") -> None:
    if task.done():
        task.result()


class Asked:
    """The aggregator over HTTP."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self._url = url

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._client.get(self._url + path) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())

    async def service(self, name: str) -> dict[str, Any]:
        services = (await self.get("/health/mesh"))[1]["services"]
        return next((each for each in services if each["service"] == name), {"state": None})

    async def leads(self) -> bool:
        return bool((await self.get("/health/mesh"))[1]["leads"])

    async def is_up(self, name: str) -> bool:
        try:
            return bool((await self.service(name))["state"] == "UP")
        except aiohttp.ClientConnectionError:
            return False

    async def wait_for(self, name: str, state: str, seconds: float = 15) -> None:
        async def reached() -> bool:
            return bool((await self.service(name))["state"] == state)

        await wait_until(f"{name} is {state}", reached, seconds)


@asynccontextmanager
async def beating_service(
    settings: HealthAggregatorSettings, name: str
) -> AsyncIterator[tuple[Health, "asyncio.Task[None]"]]:
    """A service that does nothing but heartbeat; says goodbye at the end of the block unless its task was cancelled."""
    mine = ServiceSettings(
        service=name,
        instance=f"{name}-1",
        http_port=0,
        schemas_dir=settings.schemas_dir,
        kafka_brokers=settings.kafka_brokers,
        heartbeat_interval_s=settings.heartbeat_interval_s,
    )
    health, stop = Health(name, "1"), asyncio.Event()
    task = asyncio.create_task(heartbeat(mine, health, stop))
    try:
        yield health, task
    finally:
        stop.set()
        await asyncio.wait([task], timeout=10)


async def events_of(settings: HealthAggregatorSettings, service: str) -> list[tuple[str, str]]:
    """(previous, current) of every HealthChanged of the service itself, in order."""
    values = await _events(settings)
    return [
        (value["previous"], value["current"])
        for value in values
        if value["service"] == service and value["group"] is None
    ]


async def events_of_group(settings: HealthAggregatorSettings, group: str) -> list[tuple[str | None, str]]:
    """The statuses of every HealthChanged of the group, in order."""
    values = await _events(settings)
    return [(value["previous_status"], value["current_status"]) for value in values if value["group"] == group]


async def _events(settings: HealthAggregatorSettings) -> list[dict[str, Any]]:
    registry = Registry.load(settings.schemas_dir)
    codec, topic = Codec(registry), registry.topic_of(EVENT_TYPE).name
    values = []
    async with open_reader(settings.kafka_brokers, "test") as reader:
        ranges = {tp: both for tp, both in (await topic_ranges(reader, [topic])).items() if both[0] < both[1]}
        reader.assign(list(ranges))
        for partition, (first, _end) in ranges.items():
            reader.seek(partition, first)
        for partition, (_first, end) in ranges.items():
            while await reader.position(partition) < end:
                records = (await reader.getmany(timeout_ms=500)).get(partition, ())
                values += [dict(codec.decode(record.value).value) for record in records]
    return values


async def commit_offset(brokers: str, group: str, topic: str, offset: int) -> None:
    """Commit for a group in the topic's first partition, and leave it without members."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.commit({partition: offset})
    finally:
        await consumer.stop()
