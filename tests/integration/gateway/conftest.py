"""The real gateway in a process of its own, on topics and a database of this session."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_local.testing import Servers, database_url
from atlas_readmodel.stores import open_stores

from tests.contexts import SCHEMAS
from tests.declared import rename
from tests.integration.gateway.posting import Fetch
from tests.neutral import PROJECTIONS

READY_S = 20
StartGateway = Callable[..., str]


@pytest.fixture(scope="session")
def prefix() -> str:
    """What the topics of this session begin with, in place of a mesh's own names."""
    return f"test.{uuid.uuid4().hex[:8]}."


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory, prefix: str) -> Path:
    """The schemas folder with topics of this session."""
    folder = tmp_path_factory.mktemp("gateway") / "schemas"
    shutil.copytree(SCHEMAS, folder)
    for name in Registry.load(folder).topics:
        rename(folder, name, f"{prefix}{name}")
    return folder


@pytest.fixture(scope="session")
def codec(schemas: Path) -> Codec:
    return Codec(Registry.load(schemas))


@pytest.fixture(scope="session")
def dsn(servers: Servers, migrated_template: str, prefix: str) -> Iterator[str]:
    """The database of the session's gateway, migrated, with empty read models as the projector makes them."""
    name = f"test_gateway_{uuid.uuid4().hex[:8]}"
    url = database_url(servers.postgres_dsn, name)

    async def execute(address: str, sql: str) -> None:
        connection = await asyncpg.connect(address)
        await connection.execute(sql)
        await connection.close()

    async def make_read_models() -> None:
        async with open_stores(url, servers.redis_url, prefix, max_size=1) as stores:
            for projection in PROJECTIONS:
                topics = tuple(f"{prefix}{topic}" for topic in projection.topics)
                await stores.of(replace(projection, topics=topics).model).ensure_live()

    asyncio.run(execute(servers.postgres_dsn, f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"'))
    asyncio.run(make_read_models())
    yield url
    asyncio.run(execute(servers.postgres_dsn, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def processes() -> dict[str, subprocess.Popen[bytes]]:
    """The gateways of this session by their address."""
    return {}


@pytest.fixture(scope="session")
def start_gateway(
    servers: Servers,
    dsn: str,
    schemas: Path,
    prefix: str,
    processes: dict[str, subprocess.Popen[bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> StartGateway:
    """Starts a gateway with these settings and gives its address, once it is ready. It is for the fixture to end it."""

    def start(**settings: str) -> str:
        port = free_port()
        log = tmp_path_factory.mktemp("log") / "gateway.log"
        env = {
            "schemas_dir": str(schemas),
            "kafka_brokers": servers.kafka_brokers,
            "postgres_dsn": dsn,
            "redis_url": servers.redis_url,
            "redis_namespace": prefix,
            "log_format": "json",
            "http_port": str(port),
            **settings,
        }
        named = {f"ATLAS_{name.upper()}": value for name, value in env.items()}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "atlas_gateway"],
                env={**os.environ, **named},
                stdout=out,
                stderr=out,
                cwd=log.parent,
            )
        url = f"http://127.0.0.1:{port}"
        processes[url] = process
        try:
            _wait_until_ready(url, process, log)
        except BaseException:
            processes.pop(url).kill()
            process.wait()
            raise
        return url

    return start


@pytest.fixture
def launch(start_gateway: StartGateway, processes: dict[str, subprocess.Popen[bytes]]) -> Iterator[StartGateway]:
    """`launch(postgres_dsn=…)` starts a gateway with these settings; it ends with the test."""
    before = set(processes)
    yield start_gateway
    end([processes.pop(url) for url in set(processes) - before])


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Stop gateways, each in order; one that does not stop is killed, and is a fault."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    codes = []
    for process in processes:
        try:
            codes.append(process.wait(timeout=15))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(process.wait())
    assert set(codes) <= {0}, f"a gateway did not stop cleanly: {codes}"


@pytest.fixture(scope="session")
def gateway_url(
    start_gateway: StartGateway, processes: dict[str, subprocess.Popen[bytes]], servers: Servers, prefix: str
) -> Iterator[str]:
    url = start_gateway()
    yield url
    end([processes.pop(url)])
    asyncio.run(_delete_topics(servers.kafka_brokers, prefix))


@pytest.fixture
async def client(gateway_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Calls the session's gateway: `await client.get("/yards")`."""
    async with aiohttp.ClientSession(gateway_url) as session:
        yield session


@pytest.fixture
def path(prefix: str) -> str:
    """Where hauls are posted to."""
    return f"/topics/{prefix}hauls.events"


@pytest.fixture
async def fetch(servers: Servers, prefix: str) -> AsyncIterator[Fetch]:
    """`await fetch(result)` reads the record that a result names."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka_brokers, enable_auto_commit=False)
    await consumer.start()

    async def one(result: dict[str, int]) -> ConsumerRecord:
        place = TopicPartition(f"{prefix}hauls.events", result["partition"])
        consumer.assign([place])
        consumer.seek(place, result["offset"])
        async with asyncio.timeout(5):
            record = await consumer.getone()
        assert record.offset == result["offset"]
        return record

    yield one
    await consumer.stop()


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """To the database of the session's gateway."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    return free_port()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    error: Exception | None = None
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the gateway ended with {process.returncode}:\n{log.read_text()}"
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=1):
                return
        except OSError as refused:
            error = refused
            time.sleep(0.05)
    pytest.fail(f"the gateway was not ready within {READY_S} s: {error}\n{log.read_text()}")


async def _delete_topics(brokers: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(prefix)])
    finally:
        await admin.close()
