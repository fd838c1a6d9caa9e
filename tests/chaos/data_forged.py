"""Forgeries: whole and valid events that only their owner may write, posted and put on topics past the gateway."""

import random
import time
import uuid
from collections.abc import Iterable
from typing import Any

import aiohttp
import asyncpg
import orjson
from aiokafka import AIOKafkaProducer
from atlas_contracts.codec import Codec
from atlas_local.testing import TestMesh

from tests.chaos.data_foreign import DEAD, REPEATED, UNREAD, Hostile
from tests.chaos.data_http import CLOUD, JSON, LINES, SERVICES, HostileClient
from tests.chaos.data_ledger import Ledger
from tests.chaos.data_limits import BATCH, Limited, binary, cloud, send_one

DEACTIVATED, HEARTBEAT, CHANGED = "yards.YardDeactivated", "health.Heartbeat", "health.HealthChanged"
FORGED = "forged"
_DAY_MS = 86_400_000
# The first and the last that an event may say.
_YEARS_MS = (-62_135_596_800_000, 253_402_300_799_999)
# What is no version, of a yard who is there: no place in the yard's history, so it changes nothing and blocks nobody.
# The first is one more than the column takes.
_NO_VERSIONS = (b"2147483648", None, b"", b"0", b"-1", b"x", b"\xff", b"9" * 19, b"9" * 5_000, b"1e3", b" 1", b"1_0")


def _deactivated(yard_id: str) -> dict[str, Any]:
    return {"yard_id": yard_id, "reason": FORGED, "deactivated_at": time.time_ns() // 1_000_000}


def _beat(**changed: Any) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    return {
        "service": "gateway",
        "instance": f"{FORGED}-{uuid.uuid4().hex[:8]}",
        "state": "NOT_READY",
        "reasons": {"kafka": FORGED},
        "started_at": now,
        "sent_at": now,
        "interval_ms": 100,
        "version": "0",
    } | changed


def _posts(topic: str, event_type: str, value: dict[str, Any]) -> Iterable[Limited]:
    """One event in every form that a post may have."""
    path = f"/topics/{topic}"
    plain = orjson.dumps({"type": event_type, "value": value})
    versioned = cloud(event_type, value, subject="x", sequence="3")
    yield Limited("forged event", "topic-closed", JSON, plain, path)
    yield Limited("forged array", "topic-closed", JSON, b"[" + plain + b"]", path)
    yield Limited("forged lines", "topic-closed", LINES, plain + b"\n", path)
    yield Limited("forged with a key", "topic-closed", JSON | {"Idempotency-Key": uuid.uuid4().hex}, plain, path)
    for forged in (cloud(event_type, value), versioned):
        yield Limited("forged CloudEvent", "topic-closed", CLOUD, orjson.dumps(forged), path)
        yield Limited("forged CloudEvents", "topic-closed", BATCH, orjson.dumps([forged]), path)
    yield Limited("forged in binary mode", "topic-closed", *binary(event_type, value), path)
    yield Limited("forged in binary mode", "topic-closed", *binary(event_type, value, sequence="3"), path)


async def post_forgeries(client: HostileClient) -> None:
    """Events of a yard who is there, of a service's health and a heartbeat, in every form."""
    yard_id = random.choice(sorted(client.ledger.yards))
    changed = {
        "service": "gateway",
        "previous": "UP",
        "current": "DOWN",
        "reason": FORGED,
        "instances": 0,
        "changed_at": time.time_ns() // 1_000_000,
    }
    for topic, event_type, value in (
        ("yards.events", DEACTIVATED, _deactivated(yard_id)),
        ("health.heartbeats", HEARTBEAT, _beat()),
        ("health.events", CHANGED, changed),
    ):
        for request in _posts(topic, event_type, value):
            await send_one(client, request)


def odd_beats() -> list[dict[str, Any]]:
    """Heartbeats out of bounds in one field each."""
    return [
        _beat(service="x" * 10_000),
        _beat(service='gateway"} 1\n'),
        _beat(service=""),
        _beat(instance=""),
        _beat(instance=f"{FORGED}\x1b[2J"),
        _beat(instance=FORGED * 1_000),
        _beat(interval_ms=0),
        _beat(interval_ms=-1),
        _beat(interval_ms=2**31 - 1),
        _beat(sent_at=_YEARS_MS[1]),
        _beat(sent_at=time.time_ns() // 1_000_000 + 3 * _DAY_MS),
        _beat(started_at=_YEARS_MS[0]),
        _beat(started_at=_YEARS_MS[1]),
    ]


def lone_beats() -> list[dict[str, Any]]:
    """Heartbeats that nothing is wrong with, each of somebody who is never heard again."""
    strangers = [_beat(service=f"{FORGED}-{uuid.uuid4().hex[:8]}", state="READY", reasons={}) for _ in range(30)]
    return [
        *strangers,
        _beat(),
        _beat(state="STOPPING"),
        _beat(reasons={f"r{number}": "x" * 1_000 for number in range(300)}, version="v" * 100_000),
    ]


class Forger:
    """Puts forgeries on topics past the gateway."""

    def __init__(self, mesh: TestMesh, codec: Codec, ledger: Ledger) -> None:
        self._mesh = mesh
        self._codec = codec
        self._ledger = ledger
        self._odd = odd_beats()

    async def send(self) -> None:
        """Events of yards who are there, with every version that is not believed; heartbeats.

        The odd heartbeats are the same each time: who is heard twice is believed, if he is believed at all.
        """
        settled = await self._settled_yards()
        async with AIOKafkaProducer(bootstrap_servers=self._mesh.servers.kafka_brokers, acks="all") as producer:
            for version in _NO_VERSIONS:
                for yard_id in (max(self._ledger.yards), *settled[:1]):
                    await self._forge(producer, yard_id, version)
            if settled:
                for version in (b"1", b"2"):
                    await self._forge(producer, random.choice(settled), version, REPEATED)
            await self._forge(producer, f"\x00{uuid.uuid4()}", b"1")
            for beat in (*self._odd, *lone_beats(), *self._odd):
                value = self._codec.encode(HEARTBEAT, beat)
                await self._put(producer, "heartbeat", Hostile(UNREAD, value, b"gateway", "health.heartbeats"))

    async def _settled_yards(self) -> list[str]:
        """Those whose both versions are in the read model."""
        connection = await asyncpg.connect(self._mesh.dsn)
        try:
            rows = await connection.fetch("SELECT yard_id FROM readmodel.yards WHERE version = 2")
        finally:
            await connection.close()
        found = sorted({row["yard_id"] for row in rows} & self._ledger.yards.keys())
        return random.sample(found, len(found))

    async def _forge(
        self, producer: AIOKafkaProducer, yard_id: str, version: bytes | None, ends: Any = frozenset(DEAD)
    ) -> None:
        headers: list[tuple[str, bytes | None]] = [("ce_type", DEACTIVATED.encode())]
        if version is not None:
            headers.append(("ce_sequence", version))
        body = self._codec.encode(DEACTIVATED, _deactivated(yard_id))
        await self._put(producer, "forged version", Hostile(ends, body, yard_id.encode(), "yards.events", headers))

    async def _put(self, producer: AIOKafkaProducer, kind: str, record: Hostile) -> None:
        put = await producer.send_and_wait(record.topic, record.value, record.key, headers=record.headers)
        self._ledger.accept(kind, (put.topic, put.partition, put.offset), record.ends)


async def strangers(mesh: TestMesh) -> list[str]:
    """Services and instances that the mesh says it has, and that were never there."""
    url = mesh.url("health-aggregator") + "/health/mesh"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        if response.status != 200:
            return [f"/health/mesh: {response.status}"]
        services = (await response.json())["services"]
    wrong = [f"unknown service {each['service'][:80]!r}" for each in services if each["service"] not in SERVICES]
    return wrong + [
        f"forged instance {instance['instance'][:80]!r} of {each['service']}"
        for each in services
        for instance in each["instances"]
        if FORGED in instance["instance"] or not instance["instance"]
    ]
