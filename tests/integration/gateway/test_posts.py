"""POST /topics/{topic} with an Idempotency-Key: a repeat is answered alike, and each record is on the topic once."""

import asyncio
import json
import os
import signal
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_local.testing import Servers, ServerSet
from atlas_local.waiting import wait_until

from tests.integration.gateway.posting import departed
from tests.integration.gateway.test_faults import StartGateway

CountKeys = Callable[[], Awaitable[Counter[str]]]


@pytest.fixture
def count_keys(servers: Servers, prefix: str) -> CountKeys:
    """How many records the topic has of each key."""
    return lambda: _count(servers.kafka_brokers, f"{prefix}hauls.events")


async def _count(brokers: str, topic: str) -> Counter[str]:
    found: dict[tuple[int, int], str] = {}  # by place: a consumer that is assigned by hand may read one twice
    places = [TopicPartition(topic, partition) for partition in range(4)]
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found |= {(record.partition, record.offset): record.key.decode() for record in records}
    finally:
        await consumer.stop()
    return Counter(found.values())


def _keyed() -> dict[str, str]:
    return {"Idempotency-Key": f"post-{uuid.uuid4().hex}"}


def _ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["value"]["haul_id"] for event in events]


async def test_a_repeat_gets_the_same_answer_and_sends_nothing(
    client: ClientSession, path: str, count_keys: CountKeys
) -> None:
    events, headers = [departed() for _ in range(700)], _keyed()
    answers = []
    for _ in range(2):
        async with client.post(path, json=events, headers=headers) as response:
            assert response.status == 200, await response.text()
            answers.append((await response.json(), response.headers["Atlas-Token"]))
            replayed = response.headers.get("Idempotent-Replayed")
    assert answers[0] == answers[1]
    assert replayed == "true"
    counted = await count_keys()
    assert {counted[haul_id] for haul_id in _ids(events)} == {1}


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
async def test_a_repeat_after_a_crash_sends_only_what_is_missing(
    client: ClientSession, path: str, count_keys: CountKeys, connection: asyncpg.Connection, content_type: str
) -> None:
    """As a crash leaves it: a claim without an answer, and a part of the records on the topic."""
    events, headers = [departed() for _ in range(600)], {**_keyed(), "Content-Type": content_type}
    bad = {"type": "hauls.HaulDeparted", "value": {"haul_id": "incomplete"}}

    def body(listed: list[dict[str, Any]]) -> bytes:
        texts = [json.dumps(event) for event in listed]
        return ("\n".join(texts) if "ndjson" in content_type else f"[{','.join(texts)}]").encode()

    first, whole = [events[0], bad, *events[1:400]], [events[0], bad, *events[1:]]
    async with client.post(path, data=body(first), headers=headers) as response:
        assert response.status == 207, await response.text()
        there = (await response.json())["results"]
    # The first attempt was one of the whole body that ended half way, without an answer.
    async with client.post(path, data=body(whole), headers=(other := {**headers, **_keyed()})) as response:
        assert response.status == 207
    fingerprint = "SELECT fingerprint FROM app.idempotency_keys WHERE key = $1"
    await connection.execute(
        f"UPDATE app.idempotency_keys SET status = NULL, headers = NULL, body = NULL, fingerprint = ({fingerprint}), "
        "sending = jsonb_set(sending, '{claimed}', '0') WHERE key = $2",
        other["Idempotency-Key"],
        headers["Idempotency-Key"],
    )
    async with client.post(path, data=body(whole), headers=headers) as response:
        assert response.status == 207, await response.text()
        answer = await response.json()
    assert answer["results"][: len(there)] == there, "what was there is told from where it is"
    assert (answer["succeeded"], answer["failed"]) == (600, 1)
    counted = await count_keys()
    # Once by this key and, for the fingerprint, once by the other.
    assert {counted[haul_id] for haul_id in _ids(events)} == {2}


async def test_a_key_belongs_to_one_body(client: ClientSession, path: str, count_keys: CountKeys) -> None:
    one, other, headers = departed(), departed(), _keyed()
    async with client.post(path, json=one, headers=headers) as response:
        assert response.status == 200
    async with client.post(path, json=other, headers=headers) as response:
        assert response.status == 422, await response.text()
        assert (await response.json())["type"] == "urn:atlas:problem:idempotency-key-reused"
    counted = await count_keys()
    assert (counted[one["value"]["haul_id"]], counted[other["value"]["haul_id"]]) == (1, 0)


async def test_a_refusal_is_kept_too(client: ClientSession, path: str) -> None:
    headers, event = _keyed(), departed(distance_miles="far")
    answers = []
    for _ in range(2):
        async with client.post(path, json=event, headers=headers) as response:
            answers.append((response.status, (await response.json(content_type=None))["results"]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 422


async def test_two_at_the_same_time_are_one(client: ClientSession, path: str, count_keys: CountKeys) -> None:
    events, headers = [departed() for _ in range(2000)], _keyed()

    async def post() -> int:
        async with client.post(path, json=events, headers=headers) as response:
            await response.read()
            return response.status

    statuses = await asyncio.gather(*(post() for _ in range(4)))
    assert 200 in statuses
    assert set(statuses) <= {200, 409}, "the others are told to come again, or get the answer"
    counted = await count_keys()
    assert {counted[haul_id] for haul_id in _ids(events)} == {1}


async def test_a_post_goes_on_while_kafka_is_away(
    launch: StartGateway, private_servers: ServerSet, prefix: str
) -> None:
    """The request is answered in time; its repeat gets what became of the records, which are sent once."""
    brokers = private_servers.servers.kafka_brokers
    url = await asyncio.to_thread(launch, kafka_brokers=brokers, gateway_produce_timeout_s="0.5")
    events, headers = [departed() for _ in range(10)], _keyed()
    async with ClientSession(url) as session:

        async def post() -> int:
            async with session.post(f"/topics/{prefix}hauls.events", json=events, headers=headers) as response:
                await response.read()
                return response.status

        async def answered() -> bool:
            return await post() == 200

        await private_servers.kafka.stop()
        assert await post() == 503
        assert await post() in {409, 503}
        await private_servers.kafka.start()
        await wait_until("the post to be settled", answered, 30)
    counted = await _count(brokers, f"{prefix}hauls.events")
    assert [counted[haul_id] for haul_id in _ids(events)] == [1] * len(events)


async def test_posts_that_find_no_place_are_let_go(
    launch: StartGateway, private_servers: ServerSet, prefix: str
) -> None:
    """However many keys come while Kafka says nothing, only a few bodies are held; the others can come again."""
    brokers, topic = private_servers.servers.kafka_brokers, f"{prefix}hauls.events"
    url = await asyncio.to_thread(launch, kafka_brokers=brokers, gateway_produce_timeout_s="0.5")
    posts = [(departed(), _keyed()) for _ in range(5)]
    assert private_servers.kafka.process is not None
    broker = private_servers.kafka.process.pid
    async with ClientSession(url) as session:

        async def post(event: dict[str, Any], headers: dict[str, str]) -> tuple[int, str]:
            async with session.post(f"/topics/{topic}", json=event, headers=headers) as response:
                answer = await response.json(content_type=None)
                return response.status, answer.get("detail", "")

        async def let_go() -> bool:
            # Which of them have a place is a matter of the order in which they came.
            answers = await asyncio.gather(*(post(*one) for one in posts))
            return any(status == 503 and "nothing of this one was sent" in detail for status, detail in answers)

        os.kill(broker, signal.SIGSTOP)
        try:
            answers = await asyncio.gather(*(post(*one) for one in posts))
            assert {status for status, _ in answers} == {503}
            await wait_until("a post to be let go", let_go, 15)
        finally:
            os.kill(broker, signal.SIGCONT)
        for one in posts:

            async def answered(one: tuple[dict[str, Any], dict[str, str]] = one) -> bool:
                return (await post(*one))[0] == 200

            await wait_until("each post to be answered", answered, 30)
    counted = await _count(brokers, topic)
    assert [counted[event["value"]["haul_id"]] for event, _ in posts] == [1] * len(posts)


async def test_a_key_is_each_callers_own(
    launch: StartGateway, path: str, count_keys: CountKeys, connection: asyncpg.Connection
) -> None:
    """For posts and commands alike: nobody reads, changes or blocks what another has under the same key."""
    url = await asyncio.to_thread(launch, gateway_caller_header="X-Caller")
    key = _keyed()
    ada, bob = ({**key, "X-Caller": name} for name in ("ada", "bob"))
    async with ClientSession(url) as session:

        async def ask(where: str, body: Any, headers: dict[str, str]) -> tuple[int, bool, dict[str, Any]]:
            async with session.post(where, json=body, headers=headers) as response:
                return response.status, "Idempotent-Replayed" in response.headers, await response.json()

        events = {"ada": [departed()], "bob": [departed()]}
        first = await ask(path, events["ada"], ada)
        assert first[:2] == (200, False)
        assert (await ask(path, events["bob"], bob))[:2] == (200, False), "another body under the same key"
        assert (await ask(path, events["ada"], ada))[1:] == (True, first[2])
        assert (await ask(path, events["ada"], bob))[2]["type"].endswith("idempotency-key-reused"), "bob's own key"
        assert await count_keys() >= Counter({_ids(each)[0]: 1 for each in events.values()})
        # Held by one caller's transaction, as a command in progress does.
        key["Idempotency-Key"] += "-yard"
        body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ada"}
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO app.idempotency_keys (caller, key, fingerprint, expires_at)"
                " VALUES ('ada', $1, '', now() + interval '1 h')",
                key["Idempotency-Key"],
            )
            assert (await ask("/yards", body, {**key, "X-Caller": "bob"}))[:2] == (201, False)
        assert (await ask("/yards", body, {**key, "X-Caller": "bob"}))[:2] == (201, True)
        assert (await ask("/yards", body, {**key, "X-Caller": "ada"}))[2]["type"].endswith("reused")
        nobody = await ask("/yards", body, key)
        assert nobody[0] == 400
        assert nobody[2]["detail"].startswith("X-Caller: found nothing")
