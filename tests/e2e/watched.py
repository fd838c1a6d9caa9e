"""A mesh that has something to show: traffic of every kind, and the faults that its dashboards are looked at for."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiokafka import AIOKafkaProducer
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until

from tests.integration.gateway.posting import departed
from tests.prometheus import Prometheus

TOPIC, BLOCKED = "hauls.events", "hauls.roads"
_PACE_S = 0.2
# A scrape is every five seconds, and so is a look at lag: some of both, on a machine that does something else as well.
SEEN_WITHIN_S = 90.0


@dataclass(slots=True)
class Watched:
    """Traffic and faults on a mesh, and when they were, in s since the epoch."""

    mesh: TestMesh
    prometheus: Prometheus
    began: float = field(default_factory=time.time)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def go_through_all(self) -> None:
        """Every fault, one after the other, under traffic; the mesh is whole at the beginning and again at the end."""
        await self.mesh.until_ready()
        async with self._traffic():
            await self._seen("traffic", f'sum(rate(atlas_kafka_records_in_total{{topic="{TOPIC}"}}[20s])) > 0')
            await self._bad_record()
            await self._open_transaction()
            await self._stopped_projector()
            await self._rebuild()

    @asynccontextmanager
    async def _traffic(self) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(self.mesh.url("gateway"), timeout=timeout) as session:
            work = [self._commands(session), self._posts(session)]
            running = [asyncio.create_task(self._again(each)) for each in work]
            try:
                yield
            finally:
                self._stop.set()
                await asyncio.gather(*running)

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while not self._stop.is_set():
            # While a service is stopped some are not answered in time.
            with suppress(aiohttp.ClientError, TimeoutError):
                await work()
            await asyncio.sleep(_PACE_S)

    def _commands(self, session: aiohttp.ClientSession) -> Callable[[], Awaitable[None]]:
        async def register_change_and_read() -> None:
            body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ann"}
            async with session.post("/yards", json=body) as response:
                path, etag, token = (
                    response.headers["Location"],
                    response.headers["ETag"],
                    response.headers["Atlas-Token"],
                )
            change = {"display_name": "Ann B."}
            async with session.patch(f"{path}/profile", json=change, headers={"If-Match": etag}) as response:
                await response.read()
            for _ in range(2):
                async with session.get(path, headers={"Atlas-Token": token}) as response:
                    await response.read()
            async with session.post("/yards", json={"email": "none"}) as response:
                assert response.status == 422

        return register_change_and_read

    def _posts(self, session: aiohttp.ClientSession) -> Callable[[], Awaitable[None]]:
        async def post_and_read() -> None:
            haul = departed()
            async with session.post(f"/topics/{TOPIC}", json=haul) as response:
                token = response.headers["Atlas-Token"]
            async with session.get(f"/hauls/{haul['value']['haul_id']}", headers={"Atlas-Token": token}) as response:
                await response.read()
            async with session.post(f"/topics/{TOPIC}", json=departed(carrier=7)) as response:
                await response.read()

        return post_and_read

    async def _bad_record(self) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.mesh.servers.kafka_brokers) as producer:
            await producer.send_and_wait(TOPIC, b"nobody can read this", key=b"bad")
        await self._seen("a dead letter", "sum(atlas_kafka_dead_letters_total) > 0")
        await self._seen("its alert", 'ALERTS{alertname="DeadLetters", alertstate="firing"}')

    async def _open_transaction(self) -> None:
        brokers = self.mesh.servers.kafka_brokers
        async with open_transactional_producer(brokers, "test", f"etl-{uuid.uuid4().hex[:8]}") as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(BLOCKED, b"x", partition=0)
            await self._seen("a blocked partition", "atlas_partition_blocked_seconds > 0")
            await producer.abort_transaction()

    async def _stopped_projector(self) -> None:
        await self.mesh.stop("projector")
        behind = f'max(atlas_consumer_lag_seconds{{group=~"projector.*", topic="{TOPIC}"}}) > 5'
        await self._seen("lag without a projector", behind)
        await self._seen("its margin", f'atlas_consumer_retention_margin_seconds{{topic="{TOPIC}"}}')
        await self._seen("a service that is down", 'atlas_service_state{service="projector", state="DOWN"} == 1')
        await self.mesh.start("projector")
        await self._seen("a projector that caught up", behind.replace("> 5", "< 5"))

    async def _rebuild(self) -> None:
        generation = 'max(atlas_projector_generation{projection="hauls"})'
        (before,) = await asyncio.to_thread(self.prometheus.now, generation)
        async with aiohttp.ClientSession() as session:
            url = f"{self.mesh.url('projector')}/projections/hauls/rebuild"

            async def begun() -> bool:
                async with session.post(url) as response:
                    return response.status in (202, 409)

            await wait_until("a rebuild of hauls to begin", begun, SEEN_WITHIN_S)
        await self._seen("a swap", f"{generation} > {before.last}")

    async def _seen(self, what: str, expression: str) -> None:
        async def there() -> bool:
            return bool(await asyncio.to_thread(self.prometheus.now, expression))

        await wait_until(f"Prometheus to see {what}: {expression}", there, SEEN_WITHIN_S, interval_s=0.5)
