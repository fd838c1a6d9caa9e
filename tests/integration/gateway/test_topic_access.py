"""Nobody but its source puts events on a topic, whatever the form of the post."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_local.testing import Servers

from tests.integration.gateway.posting import Fetch, departed

YARD = "0190f3c4-0000-7000-8000-000000000001"
DEACTIVATED = {"yard_id": YARD, "reason": "forged", "deactivated_at": 1}
BEAT = {
    "service": "forged", "instance": "i", "state": "READY", "reasons": {}, "started_at": 1, "sent_at": 2,
    "interval_ms": 1000, "version": "0",
}  # fmt: skip
EVENTS = {
    "yards.events": ("yards.YardDeactivated", DEACTIVATED),
    "health.heartbeats": ("health.Heartbeat", BEAT),
    "health.events": ("health.HealthChanged", BEAT),
}


def forms(event_type: str, value: dict[str, object]) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Body, content type and headers by the name of the form."""
    plain = {"type": event_type, "value": value}
    attributes = {"specversion": "1.0", "id": "1", "source": "/atlas/gateway", "type": event_type, "subject": YARD}
    cloud = {**attributes, "data": value, "sequence": "2"}
    binary = {f"ce-{name}": text for name, text in {**attributes, "sequence": "2"}.items()}
    return {
        "json": (json.dumps(plain), "application/json", {}),
        "array": (json.dumps([plain, plain]), "application/json", {}),
        "ndjson": (json.dumps(plain) + "\n", "application/x-ndjson", {}),
        "headers": (json.dumps({**plain, "headers": {"ce_sequence": "2"}}), "application/json", {}),
        "structured": (json.dumps(cloud), "application/cloudevents+json", {}),
        "batch": (json.dumps([cloud]), "application/cloudevents-batch+json", {}),
        "binary": (json.dumps(value), "application/json", binary),
        "keyed": (json.dumps(plain), "application/json", {"Idempotency-Key": "forged"}),
        "unknown form": ("x", "application/xml", {}),
        "no body": ("", "application/json", {}),
    }


@pytest.fixture
async def ends(servers: Servers, prefix: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka_brokers, enable_auto_commit=False)
    await consumer.start()
    yield consumer
    await consumer.stop()


@pytest.mark.parametrize("topic", list(EVENTS))
@pytest.mark.parametrize("form", list(forms("", {})))
async def test_a_post_to_a_closed_topic_is_refused(
    client: ClientSession, ends: AIOKafkaConsumer, prefix: str, topic: str, form: str
) -> None:
    body, content_type, headers = forms(*EVENTS[topic])[form]
    async with client.post(
        f"/topics/{prefix}{topic}", data=body, headers={"Content-Type": content_type, **headers}
    ) as response:
        problem = await response.json()
    assert (response.status, response.content_type) == (403, "application/problem+json"), problem
    assert problem["type"] == "urn:atlas:problem:topic-closed"
    assert problem["source"] == ("outbox" if topic == "yards.events" else "mesh")
    assert f"{prefix}{topic}" in problem["detail"]
    assert f"{prefix}hauls.events" in problem["open_topics"]
    if topic != "health.heartbeats":  # the gateway's own beats arrive there
        places = [TopicPartition(f"{prefix}{topic}", n) for n in ends.partitions_for_topic(f"{prefix}{topic}") or {0}]
        assert set((await ends.end_offsets(places)).values()) == {0}


async def test_what_a_caller_says_of_a_version_is_refused_on_an_open_topic(
    client: ClientSession, path: str, fetch: Fetch
) -> None:
    event = departed()
    cloud = {
        "specversion": "1.0", "id": "1", "source": "/x", "type": event["type"], "data": event["value"],
        "subject": "another haul",
    }  # fmt: skip
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    async with client.post(path, data=json.dumps([cloud | {"sequence": "2"}, cloud]), headers=headers) as response:
        answer = await response.json()
    assert response.status == 207, answer
    refused, taken = answer["results"]
    assert [error["path"] for error in refused["error"]["errors"]] == ["/sequence"]
    record = await fetch(taken)
    assert record.key == event["value"]["haul_id"].encode(), "the key is the value's own, whatever the subject"
    assert "ce_sequence" not in dict(record.headers)
