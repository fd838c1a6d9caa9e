"""HealthChanged on a real topic: published in order, read back."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_health_aggregator.changes import EVENT_TYPE, Publisher, last_changes
from atlas_health_aggregator.judging.group_changes import GroupChange
from atlas_health_aggregator.judging.liveness import Change, State
from atlas_health_aggregator.judging.status import Status
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all, send_one
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration


def _change(service: str, current: State, at: int = 1_700_000_000_000) -> Change:
    return Change(service, State.UNKNOWN, current, "because", 1, at)


async def _on_topic(servers: Servers, topic: str) -> list[Any]:
    async with open_reader(servers.kafka_brokers, "test") as reader:
        ranges = await topic_ranges(reader, [topic])
        reader.assign(list(ranges))
        for partition, (first, _) in ranges.items():
            reader.seek(partition, first)
        expected = sum(end - first for first, end in ranges.values())
        records: list[Any] = []
        while len(records) < expected:
            for batch in (await reader.getmany(timeout_ms=1000)).values():
                records += batch
        return records


async def test_changes_are_cloud_events_in_order_and_come_back(servers: Servers, schemas: Path) -> None:
    registry = Registry.load(schemas)
    codec, topic = Codec(registry), registry.topic_of(EVENT_TYPE)
    assert await last_changes(servers.kafka_brokers, codec, topic.name, "test") == []
    published = [_change("relay", State.UP), _change("gateway", State.DEGRADED), _change("relay", State.DOWN)]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        publisher = Publisher(producer, codec, topic, "/health-aggregator")
        running = asyncio.create_task(publisher.run(lambda _reason: None))
        publisher.add(published[:2])
        publisher.add([])
        publisher.add(published[2:])

        async def all_there() -> bool:
            return len(await _on_topic(servers, topic.name)) == 3

        await wait_until("three events", all_there, 10)
        running.cancel()
        # What is none of ours is passed over when the topic is read back.
        heartbeat = codec.encode("hauls.CarrierListed", {"carrier": "UA", "name": "United"})
        await send_all(producer, [Outgoing(topic.name, None, value) for value in (b"junk", None, heartbeat)])
    records = (await _on_topic(servers, topic.name))[:3]
    assert [codec.decode(record.value).value["service"] for record in records] == ["relay", "gateway", "relay"]
    headers = dict(records[0].headers)
    assert (records[0].key, headers["ce_type"], headers["ce_subject"]) == (b"relay", EVENT_TYPE.encode(), b"relay")
    assert headers["ce_source"] == b"/health-aggregator"
    last = await last_changes(servers.kafka_brokers, codec, topic.name, "test")
    assert last == [published[1], published[2]]


async def test_changes_of_groups_come_back_beside_those_of_their_service(servers: Servers, schemas: Path) -> None:
    """The service's own state is as it was: who does not know groups reads nothing false."""
    registry = Registry.load(schemas)
    codec, topic = Codec(registry), registry.topic_of(EVENT_TYPE)
    service = _change("projector", State.UP)
    stopped = GroupChange("projector.hauls", Status.CATCHING_UP, Status.STOPPED, "nobody reads", 1_700_000_000_000)
    first = GroupChange("archiver", None, Status.STALLED, "it stands still", 1_700_000_000_000)
    long = replace(first, group="archiver." + "x" * 300)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        publisher = Publisher(producer, codec, topic, "/health-aggregator")
        publisher.add([service])
        publisher.add_groups([stopped, first, long], {"projector": (State.UP, 2)})
        await publisher.flush()
    records = await _on_topic(servers, topic.name)
    assert [record.key for record in records] == [b"projector", b"projector", b"archiver", b"archiver"]
    assert dict(records[1].headers)["ce_subject"] == b"projector.hauls"
    value = codec.decode(records[1].value).value
    assert (value["previous"], value["current"], value["instances"]) == ("UP", "UP", 2)
    assert (value["previous_status"], value["current_status"]) == ("CATCHING_UP", "STOPPED")
    assert codec.decode(records[2].value).value["current"] == "UNKNOWN"
    assert await last_changes(servers.kafka_brokers, codec, topic.name, "test") == [service, stopped, first]


async def test_what_could_not_be_sent_is_sent_later(
    servers: Servers, schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.load(schemas)
    codec, topic = Codec(registry), registry.topic_of(EVENT_TYPE)
    real, failures, heard = send_one, [ConnectionResetError("away"), TimeoutError("away")], list[str | None]()

    async def flaky(producer: Any, record: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(producer, record)

    monkeypatch.setattr("atlas_health_aggregator.changes.send_one", flaky)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        publisher = Publisher(producer, codec, topic, "/x")
        running = asyncio.create_task(publisher.run(heard.append))
        publisher.add([_change("relay", State.UP), _change("relay", State.DOWN)])
        await wait_until("it recovers", lambda: heard[-1:] == [None], 10)
        running.cancel()
    assert "away" in (heard[0] or "")
    states = [codec.decode(record.value).value["current"] for record in await _on_topic(servers, topic.name)]
    assert states == ["UP", "DOWN"]
