"""What Kafka refuses is one record's answer; the next post of anybody is not touched, and the gateway goes on."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from atlas_contracts.values.timestamps import rfc3339
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until

from tests.integration.gateway.posting import NDJSON, departed


def carrier(name: str = "United Air Lines Inc.") -> dict[str, Any]:
    return {"type": "hauls.CarrierListed", "value": {"carrier": uuid.uuid4().hex[:8], "name": name}}


LARGE = "x" * 5000


async def _set_limit(servers: Servers, topic: str, max_bytes: int) -> None:
    async with open_admin(servers.kafka_brokers) as admin:
        config = {"max.message.bytes": str(max_bytes)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])


@pytest.fixture
async def small(client: ClientSession, servers: Servers, prefix: str) -> AsyncIterator[str]:
    """The path of a topic whose own limit is 2,000 bytes, while the test lasts."""
    topic = f"{prefix}hauls.reference"
    await _set_limit(servers, topic, 2000)

    async def limited() -> bool:
        async with client.post(f"/topics/{topic}", json=carrier(LARGE)) as response:
            return response.status == 422

    await wait_until("the topic to be limited", limited)
    yield f"/topics/{topic}"
    await _set_limit(servers, topic, 1024 * 1024)


async def test_a_record_above_the_topics_own_limit(client: ClientSession, small: str) -> None:
    statuses = []
    for event in (carrier(LARGE), carrier(), carrier()):
        async with client.post(small, json=event) as response:
            statuses.append(response.status)
            answer = await response.json()
            if response.status == 422:
                (result,) = answer["results"]
                assert result["error"]["type"] == "urn:atlas:problem:record-too-large"
                assert "max.message.bytes" in result["error"]["detail"]
    assert statuses == [422, 200, 200]


@pytest.mark.parametrize("keyed", [False, True])
async def test_two_hundred_posts_at_once_with_refused_ones_among_them(
    client: ClientSession, small: str, keyed: bool
) -> None:
    count = 40 if keyed else 200  # those with a key go three at a time

    async def post(number: int) -> int:
        headers = {"Idempotency-Key": f"refusal-{uuid.uuid4().hex}"} if keyed else {}
        body = carrier(LARGE if number % 10 == 3 else "a")
        async with asyncio.timeout(60):
            while True:
                async with client.post(small, json=body, headers=headers) as response:
                    # On a busy machine the last of them wait too long: then the same key is sent again.
                    if not (keyed and response.status == 503):
                        return response.status

    told = Counter(await asyncio.gather(*(post(number) for number in range(count))))
    assert told == {200: count * 9 // 10, 422: count // 10}


async def test_one_line_of_many(client: ClientSession, small: str) -> None:
    events = [carrier(LARGE if number == 137 else "a") for number in range(300)]
    async with client.post(small, json=events) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (207, 299, 1)
    assert answer["results"][137]["error"]["type"] == "urn:atlas:problem:record-too-large"


async def test_posts_to_a_topic_that_is_gone_hold_up_no_others(
    client: ClientSession, servers: Servers, prefix: str, path: str
) -> None:
    gone = f"{prefix}hauls.roads"
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_topics([gone])
    value = {"observation_id": "EWR-1", "depot": "EWR", "observed_at": "2013-01-01T00:00:00Z"}
    roads = {"type": "hauls.RoadObserved", "value": value}

    async def post(target: str, event: dict[str, Any]) -> int:
        async with client.post(target, json=event) as response:
            return response.status

    missing = [post(f"/topics/{gone}", roads) for _ in range(4)]
    healthy = [post(path, departed()) for _ in range(20)]
    assert await asyncio.gather(*missing, *healthy) == [503] * 4 + [200] * 20
    await ensure_topics(servers.kafka_brokers, [TopicSpec(gone, 2)])

    async def taken_again() -> bool:
        return await post(f"/topics/{gone}", roads) == 200

    await wait_until("the topic made again to take records", taken_again)


def _ahead(hours: float) -> str:
    return rfc3339(int((time.time() + hours * 3600) * 1000))


async def test_a_time_an_hour_and_a_minute_ahead(client: ClientSession, path: str) -> None:
    told = []
    for event in (departed() | {"time": _ahead(61 / 60)}, departed(), departed()):
        async with client.post(path, json=event) as response:
            told.append((response.status, [error["path"] for error in (await response.json()).get("errors", ())]))
    assert told == [(422, ["/time"]), (200, []), (200, [])]


async def test_two_hundred_posts_at_once_one_with_a_time_far_ahead(client: ClientSession, path: str) -> None:
    async def post(number: int) -> int:
        event = departed() | ({"time": _ahead(2)} if number == 77 else {})
        async with client.post(path, json=event) as response:
            return response.status

    assert Counter(await asyncio.gather(*(post(number) for number in range(200)))) == {200: 199, 422: 1}


async def test_one_line_of_three_hundred_is_two_hours_ahead(client: ClientSession, path: str) -> None:
    events = [departed() | ({"time": _ahead(2)} if number == 137 else {}) for number in range(300)]
    body = b"\n".join(json.dumps(event).encode() for event in events)
    async with client.post(path, data=body, headers=NDJSON) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (207, 299, 1)
    assert answer["results"][137]["error"]["errors"][0]["path"] == "/time"
