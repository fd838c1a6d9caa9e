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
BATCH_FLIGHTS = 40
PAUSE_S = 0.02
RETRY_S = 0.25
SETTLE_S = 120
# To look reads whole tables, on the cores that the projector needs to get there.
LOOK_S = 0.25


@dataclass
class Traffic:
    """Users and flights sent to one mesh. A carrier code of its own keeps its counts apart from other tests'."""

    mesh: TestMesh
    carrier: str = field(default_factory=lambda: "X" + uuid.uuid4().hex[:6])
    users: dict[str, int] = field(default_factory=dict)
    flights: set[str] = field(default_factory=set)
    failed: Counter[str] = field(default_factory=Counter)

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`; what was begun is finished, however long the mesh is away."""
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(self._post_flights(session, stop))
            for _ in range(3):
                group.create_task(self._register(session, stop))

    async def flows_again(self, flights_before: int) -> None:
        """Wait until more flights are acknowledged than there were."""
        await wait_until("flights to be acknowledged again", lambda: len(self.flights) > flights_before + 1000, 60)

    async def _post_flights(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        """Batch after batch, each under a key, with which it is posted again until it is answered."""
        while not stop.is_set():
            batch, key = [self._flight() for _ in range(BATCH_FLIGHTS)], uuid.uuid4().hex
            while True:
                answered = await self._post(session, batch, key)
                await asyncio.sleep(PAUSE_S if answered else RETRY_S)
                if answered:
                    break

    async def _post(self, session: aiohttp.ClientSession, batch: list[dict[str, Any]], key: str) -> bool:
        """Whether the batch was answered: all of it is on the topic then."""
        url = f"{self.mesh.url('gateway')}/topics/flights.events"
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
        self.flights.update(event["value"]["flight_id"] for event in batch)
        return True

    async def _register(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        while not stop.is_set():
            name = uuid.uuid4().hex
            body = {"email": f"{name}@chaos.example", "display_name": f"Chaos {self.carrier}"}
            answer = await self._command(session, "POST", "/users", body, f"{name}-1")
            path = f"/users/{answer['user_id']}"
            self.users[answer["user_id"]] = 1
            change = {"display_name": f"Chaos {self.carrier} again"}
            await self._command(session, "PATCH", f"{path}/profile", change, f"{name}-2", '"1"')
            self.users[answer["user_id"]] = 2

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

    def _flight(self) -> dict[str, Any]:
        number = random.randrange(1, 9999)
        flight_id = f"{self.carrier}{number}-{uuid.uuid4().hex[:12]}-EWR"
        value = {
            "flight_id": flight_id,
            "carrier": self.carrier,
            "flight_number": number,
            "tail_number": None,
            "origin": "EWR",
            "destination": "IAH",
            "scheduled_departure": 1_357_035_300_000,
            "distance_miles": 1400,
            "departure_delay_minutes": 1,
            "arrival_delay_minutes": 1,
            "air_time_minutes": 227,
        }
        return {"type": "flights.FlightDeparted", "value": value}

    async def prove_read_models(self) -> None:
        """Every acknowledged write is in the read models, once."""
        connection = await asyncpg.connect(self.mesh.dsn)
        try:

            async def users() -> bool:
                rows = await connection.fetch("SELECT user_id, version FROM readmodel.users")
                found = {row["user_id"]: row["version"] for row in rows}
                return all(found.get(user_id) == version for user_id, version in self.users.items())

            async def flights() -> set[str]:
                sql = "SELECT flight_id FROM readmodel.flights WHERE carrier = $1"
                return {row["flight_id"] for row in await connection.fetch(sql, self.carrier)}

            async def all_flights() -> bool:
                return self.flights <= await flights()

            async def counts() -> bool:
                sql = "SELECT flights, departure_delay_sum FROM readmodel.carriers WHERE carrier = $1"
                row = await connection.fetchrow(sql, self.carrier)
                rows = len(await flights())
                return row is not None and (row["flights"], row["departure_delay_sum"]) == (rows, rows)

            await wait_until(f"{len(self.users)} users in their last version", users, SETTLE_S, LOOK_S)
            await wait_until(f"{len(self.flights)} flights", all_flights, SETTLE_S, LOOK_S)
            await wait_until(
                "the carrier's count to be that of its flights, none counted twice", counts, SETTLE_S, LOOK_S
            )
        finally:
            await connection.close()
