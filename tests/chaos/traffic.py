"""Traffic for a mesh that is being broken: each write is noted, retried until it is answered, and counted."""

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until

# Small batches, one soon after the other: there is always something under way, and not much to be proved in the end.
BATCH_HAULS = 40
PAUSE_S = 0.02
RETRY_S = 0.25
SETTLE_S = 120
# To look reads whole tables, on the cores that the projector needs to get there.
LOOK_S = 0.25


@dataclass
class Traffic:
    """Yards and hauls sent to one mesh. A carrier code of its own keeps its counts apart from other tests'."""

    mesh: TestMesh
    carrier: str = field(default_factory=lambda: "X" + uuid.uuid4().hex[:6])
    yards: dict[str, int] = field(default_factory=dict)
    hauls: set[str] = field(default_factory=set)
    failed: Counter[str] = field(default_factory=Counter)

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`; what was begun is finished, however long the mesh is away."""
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(self._post_hauls(session, stop))
            for _ in range(3):
                group.create_task(self._register(session, stop))

    async def flows_again(self, hauls_before: int) -> None:
        """Wait until more hauls are acknowledged than there were."""
        await wait_until("hauls to be acknowledged again", lambda: len(self.hauls) > hauls_before + 1000, 60)

    async def _post_hauls(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        """Batch after batch, each under a key, with which it is posted again until it is answered."""
        while not stop.is_set():
            batch, key = [self._haul() for _ in range(BATCH_HAULS)], uuid.uuid4().hex
            while True:
                answered = await self._post(session, batch, key)
                await asyncio.sleep(PAUSE_S if answered else RETRY_S)
                if answered:
                    break

    async def _post(self, session: aiohttp.ClientSession, batch: list[dict[str, Any]], key: str) -> bool:
        """Whether the batch was answered: all of it is on the topic then."""
        url = f"{self.mesh.url('gateway')}/topics/hauls.events"
        try:
            async with session.post(url, json=batch, headers={"Idempotency-Key": key}) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failed[type(error).__name__] += 1
            return False
        if response.status != 200:
            self.failed[str(response.status)] += 1
            assert response.headers["Content-Type"] == "application/problem+json", answer
            # 409: the gateway still waits for Kafka with an earlier request of this key.
            assert response.status in {409, 503}, answer["detail"]
            return False
        assert len(answer["results"]) == len(batch)
        self.hauls.update(event["value"]["haul_id"] for event in batch)
        return True

    async def _register(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        while not stop.is_set():
            name = uuid.uuid4().hex
            body = {"email": f"{name}@chaos.example", "display_name": f"Chaos {self.carrier}"}
            answer = await self._command(session, "POST", "/yards", body, f"{name}-1")
            path = f"/yards/{answer['id']}"
            self.yards[answer["id"]] = 1
            change = {"display_name": f"Chaos {self.carrier} again"}
            await self._command(session, "PATCH", f"{path}/profile", change, f"{name}-2", '"1"')
            self.yards[answer["id"]] = 2

    async def _command(
        self, session: aiohttp.ClientSession, method: str, path: str, body: dict[str, str], key: str, etag: str = ""
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} | ({"If-Match": etag} if etag else {})
        while True:
            try:
                url = self.mesh.url("gateway") + path
                async with session.request(method, url, json=body, headers=headers) as response:
                    if response.status < 400:
                        return dict(await response.json())
                    self.failed[str(response.status)] += 1
                    assert response.status == 503, await response.text()
                    assert response.headers["Content-Type"] == "application/problem+json"
            except (aiohttp.ClientError, TimeoutError) as error:
                self.failed[type(error).__name__] += 1
            await asyncio.sleep(RETRY_S)

    def _haul(self) -> dict[str, Any]:
        number = random.randrange(1, 9999)
        haul_id = f"{self.carrier}{number}-{uuid.uuid4().hex[:12]}-EWR"
        value = {
            "haul_id": haul_id,
            "carrier": self.carrier,
            "haul_number": number,
            "truck_number": None,
            "origin": "EWR",
            "destination": "IAH",
            "scheduled_departure": 1_357_035_300_000,
            "distance_miles": 1400,
            "departure_delay_minutes": 1,
            "arrival_delay_minutes": 1,
            "drive_time_minutes": 227,
        }
        return {"type": "hauls.HaulDeparted", "value": value}

    async def prove_read_models(self) -> None:
        """Every acknowledged write is in the read models, once."""
        connection = await asyncpg.connect(self.mesh.dsn)
        try:

            async def yards() -> bool:
                rows = await connection.fetch("SELECT yard_id, version FROM readmodel.yards")
                found = {row["yard_id"]: row["version"] for row in rows}
                return all(found.get(yard_id) == version for yard_id, version in self.yards.items())

            async def hauls() -> set[str]:
                sql = "SELECT haul_id FROM readmodel.hauls WHERE carrier = $1"
                return {row["haul_id"] for row in await connection.fetch(sql, self.carrier)}

            async def all_hauls() -> bool:
                return self.hauls <= await hauls()

            async def counts() -> bool:
                sql = "SELECT hauls, departure_delay_sum FROM readmodel.carriers WHERE carrier = $1"
                row = await connection.fetchrow(sql, self.carrier)
                rows = len(await hauls())
                return row is not None and (row["hauls"], row["departure_delay_sum"]) == (rows, rows)

            await wait_until(f"{len(self.yards)} yards in their last version", yards, SETTLE_S, LOOK_S)
            await wait_until(f"{len(self.hauls)} hauls", all_hauls, SETTLE_S, LOOK_S)
            await wait_until(
                "the carrier's count to be that of its hauls, none counted twice", counts, SETTLE_S, LOOK_S
            )
        finally:
            await connection.close()
