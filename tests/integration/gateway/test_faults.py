"""A dependency that is away, or that hangs: a 503 soon, and all well again after."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from subprocess import Popen
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from atlas_local.testing import ServerSet

StartGateway = Callable[..., str]


class Proxy:
    """A TCP proxy that can refuse, or take what it gets and say nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.refusing = False
        self.port = 0

    def set(self, mode: str) -> None:
        """`pass`, `refuse` or `hang`."""
        self.refusing = mode == "refuse"
        if mode == "hang":
            self.flowing.clear()
        else:
            self.flowing.set()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port or None)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            pass
        finally:
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self.flowing.wait()
            if self.refusing:
                raise OSError("cut")
            writer.write(data)
            await writer.drain()
        raise OSError("closed")


@pytest.fixture
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    address = urlsplit(dsn)
    proxy = Proxy(address.hostname or "", address.port or 5432)
    server = await proxy.start()
    yield proxy
    proxy.set("refuse")
    server.close()
    await proxy.stop()


def yard() -> dict[str, Any]:
    return {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ada"}


async def until_registered(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(15):
        while True:
            async with client.post("/yards", json=yard()) as response:
                if response.status == 201:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", ["refuse", "hang"])
async def test_without_postgres_commands_and_queries_are_503_in_bounded_time(
    launch: StartGateway, proxy: Proxy, dsn: str, mode: str
) -> None:
    address = urlsplit(dsn)
    through = dsn.replace(f":{address.port}/", f":{proxy.port}/")
    url = await asyncio.to_thread(launch, postgres_dsn=through, gateway_postgres_timeout_s="1")
    async with aiohttp.ClientSession(url) as client:
        await until_registered(client)
        proxy.set(mode)
        started = time.monotonic()
        answers = await asyncio.gather(
            *(_status(client, path) for path in ("POST /yards", "GET /yards", "GET /carriers"))
        )
        assert [status for status, _ in answers] == [503, 503, 503]
        assert all(headers["Retry-After"] for _, headers in answers)
        assert time.monotonic() - started < 5
        await _until_not_ready(client)
        async with client.get("/health/live") as response:
            assert response.status == 200
        proxy.set("pass")
        await until_registered(client)


async def _status(client: aiohttp.ClientSession, call: str) -> tuple[int, dict[str, str]]:
    method, path = call.split()
    body = yard() if method == "POST" else None
    async with client.request(method, path, json=body) as response:
        assert response.content_type == "application/problem+json"
        return response.status, dict(response.headers)


async def test_without_redis_queries_are_answered(launch: StartGateway, unused_port: int) -> None:
    url = await asyncio.to_thread(launch, redis_url=f"redis://127.0.0.1:{unused_port}/0")
    async with aiohttp.ClientSession(url) as client:
        for _ in range(8):
            async with client.get(f"/yards/{uuid.uuid4()}") as response:
                assert response.status == 404
        async with client.get("/metrics") as response:
            assert 'atlas_breaker_state{name="redis"} 2.0' in await response.text()
        # What lives there alone is not to be had.
        async with client.get("/departures/EWR") as response:
            assert response.status == 503
            assert (await response.json())["type"] == "urn:atlas:problem:unavailable"


async def test_a_stop_finishes_what_is_in_flight(
    launch: StartGateway, processes: dict[str, "Popen[bytes]"], prefix: str
) -> None:
    url = await asyncio.to_thread(launch)
    line = b'{"type": "hauls.HaulDeparted", "value": {}}\n'
    reached, finish = asyncio.Event(), asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        yield line
        reached.set()
        await finish.wait()
        yield line

    async with aiohttp.ClientSession(url) as client:

        async def post() -> dict[str, Any]:
            headers = {"Content-Type": "application/x-ndjson"}
            async with client.post(f"/topics/{prefix}hauls.events", data=slow_body(), headers=headers) as response:
                return dict(await response.json())

        posting = asyncio.create_task(post())
        await reached.wait()
        await _until_in_flight(client, 2)  # the post, and the request that asks
        processes[url].terminate()
        await _until_not_ready(client)
        # Longer than the web server's own patience, which is 1 s.
        done, _ = await asyncio.wait({posting}, timeout=1.5)
        assert not done
        finish.set()
        assert (await posting)["failed"] == 2
    assert await asyncio.to_thread(processes[url].wait, 10) == 0


async def test_without_kafka_each_record_has_its_result_in_bounded_time(
    launch: StartGateway, private_servers: ServerSet, prefix: str
) -> None:
    url = await asyncio.to_thread(
        launch, kafka_brokers=private_servers.servers.kafka_brokers, gateway_produce_timeout_s="1"
    )
    path, headers = f"/topics/{prefix}hauls.events", {"Content-Type": "application/x-ndjson"}
    text = b"\n".join(json.dumps(haul()).encode() for _ in range(3000))
    async with aiohttp.ClientSession(url) as client:
        async with client.post(path, json=haul()) as response:
            assert response.status == 200
        await private_servers.kafka.stop()
        for _ in range(2):
            started = time.monotonic()
            async with client.post(path, data=text, headers=headers) as response:
                problem = await response.json()
            assert time.monotonic() - started < 4
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (problem["succeeded"], problem["failed"], len(problem["results"])) == (0, 3000, 3000)
            kinds = {result["error"]["type"] for result in problem["results"]}
            assert kinds <= {"urn:atlas:problem:not-acknowledged", "urn:atlas:problem:not-sent"}
        await _until_not_ready(client)
        await private_servers.kafka.start()
        async with asyncio.timeout(30):
            status = 0
            while status != 200:
                async with client.post(path, json=haul()) as response:
                    status = response.status


def haul() -> dict[str, Any]:
    value = {
        "haul_id": uuid.uuid4().hex, "carrier": "UA", "haul_number": 1, "origin": "EWR", "destination": "IAH",
        "scheduled_departure": 1, "distance_miles": 1, "departure_delay_minutes": 1,
    }  # fmt: skip
    return {"type": "hauls.HaulDeparted", "value": value}


async def test_a_stop_while_kafka_is_away_is_in_time(
    launch: StartGateway, processes: dict[str, "Popen[bytes]"], private_servers: ServerSet, prefix: str
) -> None:
    url = await asyncio.to_thread(
        launch, kafka_brokers=private_servers.servers.kafka_brokers, gateway_produce_timeout_s="0.5"
    )
    await private_servers.kafka.stop()
    path = f"/topics/{prefix}hauls.events"
    async with aiohttp.ClientSession(url) as client, client.post(path, json=haul()) as response:
        assert response.status == 503
    processes[url].terminate()
    assert await asyncio.to_thread(processes[url].wait, 12) == 0


async def _until_in_flight(client: aiohttp.ClientSession, requests: int) -> None:
    async with asyncio.timeout(5):
        while True:
            async with client.get("/metrics") as response:
                if f"atlas_gateway_requests_in_flight {requests:.1f}" in await response.text():
                    return
            await asyncio.sleep(0.02)


async def _until_not_ready(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(10):
        while True:
            async with client.get("/health/ready") as response:
                if response.status == 503:
                    return
            await asyncio.sleep(0.05)
