"""Good traffic from four writers beside hostile data, and a probe that measures how long a good event takes to be seen.

One registers and changes yards, one posts hauls one by one, one posts lines under idempotency keys, and one is a
foreign producer that writes to Kafka itself, with every compression and in transactions.
"""

import asyncio
import itertools
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import orjson
from aiokafka import AIOKafkaProducer
from atlas_contracts.codec import Codec
from atlas_local.testing import TestMesh

from tests.chaos.data_ledger import Ledger

TOPIC = "hauls.events"
DEPARTED = "hauls.HaulDeparted"
_PAUSE_S = 0.05
_PROBE_EVERY_S = 0.2
_LOOK_EVERY_S = 0.02
# Longer than any stall that is still told apart from "never".
PROBE_S = 60.0
_CODECS: tuple[Any, ...] = (None, "gzip", "snappy", "lz4", "zstd")


def haul(prefix: str = "G") -> dict[str, Any]:
    """A haul that nothing is wrong with, of an id of its own."""
    number = random.randrange(1, 9999)
    return {
        "haul_id": f"{prefix}{number}-{uuid.uuid4().hex[:16]}-EWR",
        "carrier": prefix,
        "haul_number": number,
        "truck_number": None,
        "origin": "EWR",
        "destination": "IAH",
        "scheduled_departure": 1_357_035_300_000 + random.randrange(10**9),
        "distance_miles": 1400,
        "departure_delay_minutes": 1,
        "arrival_delay_minutes": 1,
        "drive_time_minutes": 227,
    }


class Unanswered(Exception):
    """A good request was not answered as it should have been."""


@dataclass
class Good:
    """The four writers and the probe. A good request that fails is noted as broken: nothing here may fail.

    `longest_stall_s`: the longest that a good event took to be seen, beside what Kafka withheld it for: what is sent
    while somebody's transaction is open is read by nobody before that ends.
    """

    mesh: TestMesh
    codec: Codec
    ledger: Ledger
    longest_stall_s: float = 0.0
    slowest_answer_s: float = 0.0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Write until `stop`; what was begun is finished."""
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for work in (
                self._yards(session),
                self._single_posts(session),
                self._keyed_lines(session),
                self._foreign(),
                self._probe(session),
            ):
                group.create_task(work)

    async def _post(self, session: aiohttp.ClientSession, kind: str, path: str, **request: Any) -> dict[str, Any]:
        """The answer to a good request, which is 2xx for all that is in it."""
        begun = time.monotonic()
        try:
            async with session.request(
                request.pop("method", "POST"), self.mesh.url("gateway") + path, **request
            ) as got:
                answer: dict[str, Any] = await got.json(content_type=None)
                if got.status not in (200, 201):
                    raise Unanswered(f"{got.status} {answer}")
        except (aiohttp.ClientError, TimeoutError, ValueError, Unanswered) as error:
            self.ledger.broken.append(f"good {kind}: {type(error).__name__}: {error}"[:400])
            return {}
        finally:
            self.slowest_answer_s = max(self.slowest_answer_s, time.monotonic() - begun)
        return answer

    async def _yards(self, session: aiohttp.ClientSession) -> None:
        while not self.stop.is_set():
            name = uuid.uuid4().hex
            body = {"email": f"{name}@chaos.example", "display_name": "Good"}
            made = await self._post(session, "register", "/yards", json=body, headers={"Idempotency-Key": name})
            if yard_id := made.get("id"):
                self.ledger.yards[yard_id] = 1
                headers = {"Idempotency-Key": f"{name}-2", "If-Match": '"1"'}
                path, change = f"/yards/{yard_id}/profile", {"display_name": "Better"}
                if await self._post(session, "change", path, method="PATCH", json=change, headers=headers):
                    self.ledger.yards[yard_id] = 2
            await asyncio.sleep(_PAUSE_S)

    async def _single_posts(self, session: aiohttp.ClientSession) -> None:
        while not self.stop.is_set():
            value = haul()
            event = {"type": DEPARTED, "value": value}
            if await self._post(session, "single", f"/topics/{TOPIC}", json=event):
                self.ledger.hauls.add(value["haul_id"])
            await asyncio.sleep(_PAUSE_S)

    async def _keyed_lines(self, session: aiohttp.ClientSession) -> None:
        while not self.stop.is_set():
            values = [haul() for _ in range(40)]
            body = b"\n".join(orjson.dumps({"type": DEPARTED, "value": value}) for value in values)
            headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/x-ndjson"}
            if await self._post(session, "lines", f"/topics/{TOPIC}", data=body, headers=headers):
                self.ledger.hauls |= {value["haul_id"] for value in values}
            await asyncio.sleep(_PAUSE_S)

    async def _foreign(self) -> None:
        brokers = self.mesh.servers.kafka_brokers
        for turn in itertools.cycle(range(2 * len(_CODECS))):
            if self.stop.is_set():
                return
            transactional = f"good-{uuid.uuid4().hex}" if turn % 2 else None
            codec = _CODECS[turn % len(_CODECS)]
            async with AIOKafkaProducer(
                bootstrap_servers=brokers, acks="all", compression_type=codec, transactional_id=transactional
            ) as producer:
                for _ in range(20):
                    values = [haul() for _ in range(25)]
                    if transactional:
                        async with producer.transaction():
                            await self._send(producer, values)
                    else:
                        await self._send(producer, values)
                    self.ledger.hauls |= {value["haul_id"] for value in values}
                    await asyncio.sleep(_PAUSE_S)
                    if self.stop.is_set():
                        return

    async def _send(self, producer: AIOKafkaProducer, values: list[dict[str, Any]]) -> None:
        sending = [
            await producer.send(TOPIC, self.codec.encode(DEPARTED, value), key=value["haul_id"].encode())
            for value in values
        ]
        await asyncio.gather(*sending)

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        """One haul after the other: how long from its answer until a query would see it."""
        connection = await asyncpg.connect(self.mesh.dsn)
        try:
            while not self.stop.is_set():
                value = haul()
                event = {"type": DEPARTED, "value": value}
                if await self._post(session, "probe", f"/topics/{TOPIC}", json=event):
                    self.ledger.hauls.add(value["haul_id"])
                    await self._until_seen(connection, value["haul_id"])
                await asyncio.sleep(_PROBE_EVERY_S)
        finally:
            await connection.close()

    async def _until_seen(self, connection: "asyncpg.Connection[Any]", haul_id: str) -> None:
        begun = time.monotonic()
        seen = None
        while seen is None and time.monotonic() - begun < PROBE_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            seen = await connection.fetchval("SELECT 1 FROM readmodel.hauls WHERE haul_id = $1", haul_id)
        ended = time.monotonic()
        self.longest_stall_s = max(self.longest_stall_s, ended - begun - self.ledger.withheld_s(begun, ended))
