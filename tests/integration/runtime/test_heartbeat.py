"""Heartbeats on a real topic."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.producing.outgoing import RecordRefused
from atlas_kafka.producing.producer import Producer
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until
from atlas_runtime.observing.heartbeat import EVENT_TYPE, heartbeat
from atlas_runtime.serving.probes import Health
from atlas_runtime.settings import ServiceSettings

from tests.contexts import SCHEMAS

pytestmark = pytest.mark.integration


@pytest.fixture
async def settings(servers: Servers, make_topic: MakeTopic, tmp_path: Path) -> ServiceSettings:
    folder = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, folder)
    topic = await make_topic(partitions=1)
    text = (folder / "topics.yaml").read_text().replace("  health.heartbeats:\n", f"  {topic}:\n")
    (folder / "topics.yaml").write_text(text)
    return ServiceSettings(
        service="unit",
        instance="unit-1",
        http_port=0,
        schemas_dir=folder,
        kafka_brokers=servers.kafka_brokers,
        heartbeat_interval_s=0.1,
    )


@pytest.fixture
async def topic(settings: ServiceSettings) -> str:
    return Registry.load(settings.schemas_dir).topic_of(EVENT_TYPE).name


@pytest.fixture
async def reader(settings: ServiceSettings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    async with open_reader(settings.kafka_brokers, "test") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), 0)
        yield consumer


async def test_beats_say_how_the_service_is_and_the_last_says_goodbye(
    settings: ServiceSettings, reader: AIOKafkaConsumer
) -> None:
    codec = Codec(Registry.load(settings.schemas_dir))
    health, stop = Health("unit", "1.2.3"), asyncio.Event()
    beating = asyncio.create_task(heartbeat(settings, health, stop))
    seen: list[dict[str, Any]] = []

    async def beat_of(state: str) -> bool:
        while True:
            try:
                record = await asyncio.wait_for(reader.getone(), 0.5)
            except TimeoutError:
                return False
            seen.append(codec.decode(record.value).value)
            assert record.key == b"unit"
            headers = dict(record.headers)
            assert (headers["ce_type"], headers["ce_subject"]) == (EVENT_TYPE.encode(), b"unit")
            if seen[-1]["state"] == state:
                return True

    await wait_until("a heartbeat that says ready", lambda: beat_of("READY"), 10)
    assert (seen[0]["instance"], seen[0]["version"], seen[0]["interval_ms"]) == ("unit-1", "1.2.3", 100)
    assert abs(seen[0]["sent_at"] / 1000 - time.time()) < 30
    assert seen[0]["started_at"] <= seen[0]["sent_at"]
    health.note("loop", "behind")
    await wait_until("a heartbeat that says not ready", lambda: beat_of("NOT_READY"), 10)
    assert seen[-1]["reasons"] == {"loop": "behind"}
    stop.set()
    await asyncio.wait_for(beating, 3)
    assert health.stopping
    await wait_until("the goodbye", lambda: beat_of("STOPPING"), 5)
    assert not await beat_of("READY"), "nothing comes after the goodbye"


async def test_without_brokers_stopping_is_quick(settings: ServiceSettings) -> None:
    away = settings.model_copy(update={"kafka_brokers": "127.0.0.1:1"})
    health, stop = Health("unit"), asyncio.Event()
    beating = asyncio.create_task(heartbeat(away, health, stop))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(beating, 3)
    assert health.stopping


async def test_a_beat_that_can_not_be_sent_stops_nobody(
    settings: ServiceSettings, topic: str, reader: AIOKafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = Producer.send_all, [ConnectionResetError("away"), TimeoutError(), RecordRefused("odd")]

    async def flaky(self: Producer, records: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(self, records)

    monkeypatch.setattr(Producer, "send_all", flaky)
    stop = asyncio.Event()
    beating = asyncio.create_task(heartbeat(settings, Health("unit"), stop))
    await asyncio.wait_for(reader.getone(), 10)
    assert not failures
    stop.set()
    await asyncio.wait_for(beating, 3)


@pytest.mark.parametrize("hours", [2, -3])
async def test_a_clock_that_is_off_is_a_reason_in_every_service_that_beats(
    settings: ServiceSettings, servers: Servers, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """By the broker's time on the heartbeat itself: a service needs no other server for it."""
    topic = await make_topic(partitions=1, config={"message.timestamp.type": "LogAppendTime"})
    text = (settings.schemas_dir / "topics.yaml").read_text()
    own = Registry.load(settings.schemas_dir).topic_of(EVENT_TYPE).name
    (settings.schemas_dir / "topics.yaml").write_text(text.replace(f"  {own}:\n", f"  {topic}:\n"))
    health, stop, skew = Health("unit", "1"), asyncio.Event(), [hours * 3600.0]
    clock = SimpleNamespace(time=lambda: time.time() + skew[0], time_ns=time.time_ns, monotonic=time.monotonic)
    monkeypatch.setattr("atlas_runtime.observing.heartbeat.time", clock)
    beating = asyncio.create_task(heartbeat(settings, health, stop))

    async def said() -> bool:
        return "kafka_clock" in (await health.reasons())

    async def well() -> bool:
        return not await said()

    await wait_until("the clock is said to be off", said, 10)
    way = "ahead of" if hours > 0 else "behind"
    reason = (await health.reasons())["kafka_clock"]
    assert reason.startswith("this machine's clock is ")
    assert reason.endswith(f" s {way} Kafka's")
    skew[0] = 0.0
    await wait_until("the clock is right again", well, 10)
    stop.set()
    await beating
