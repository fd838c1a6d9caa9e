"""Real servers for tests: one set a session, a fresh database, topic and bucket a test.

The set is started with data of its own below `.atlas/test`, beside a mesh that may be running. To use running servers
instead, name them: ATLAS_TEST_KAFKA_BROKERS, ATLAS_TEST_POSTGRES_DSN, ATLAS_TEST_REDIS_URL, ATLAS_TEST_S3_ENDPOINT,
ATLAS_TEST_S3_ACCESS_KEY, ATLAS_TEST_S3_SECRET_KEY.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiobotocore.session import get_session
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from atlas_local.home import Home
from atlas_local.mesh_of_tests import TEST_HOMES, TestMesh, running_mesh
from atlas_local.serverset import Servers, ServerSet, sweep
from atlas_local.steps import ALEMBIC_INI
from atlas_local.waiting import wait_until

__all__ = ["MakeTopic", "ServerSet", "Servers", "TestMesh", "database_url", "requires", "running_mesh", "s3_client"]


def _own_set() -> Iterator[ServerSet]:
    """A started set, stopped and removed at the end whatever happens."""
    asyncio.run(sweep(TEST_HOMES))
    owned = ServerSet(Home(TEST_HOMES / uuid.uuid4().hex[:12]))
    try:
        asyncio.run(owned.start())
        yield owned
    finally:
        owned.kill()  # the data go with it: nothing to be stopped in order for
        owned.home.remove()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers that ATLAS_TEST_* name, else a set of this session."""
    env = os.environ
    if "ATLAS_TEST_KAFKA_BROKERS" in env:
        yield Servers.of_env(env, "ATLAS_TEST_")
        return
    for owned in _own_set():
        yield owned.servers


@pytest.fixture(scope="session")
def private_set() -> Iterator[ServerSet]:
    """A set that tests may break; use `private_servers`, which is whole at the start of each test."""
    yield from _own_set()


@pytest.fixture
async def private_servers(private_set: ServerSet) -> AsyncIterator[ServerSet]:
    """Servers that this test may stop, kill and start again: `await private_servers.kafka.stop()`.

    Their addresses are `private_servers.servers`. All of them run when the test begins; data of earlier tests are still
    there, so name topics, databases and buckets freshly.
    """
    await private_set.start()
    yield private_set
    await private_set.start()


def database_url(dsn: str, name: str) -> str:
    """The same server and user, another database."""
    return f"{dsn.rsplit('/', 1)[0]}/{name}"


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def alembic(dsn: str, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """What Alembic's command did to a database and said of it, whether it worked or not."""
    return subprocess.run(
        [sys.executable, "-m", "atlas_runtime.migrations", "-c", str(ALEMBIC_INI), *arguments],
        env={**os.environ, "ATLAS_POSTGRES_DSN": dsn, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def migrate(dsn: str, **env: str) -> None:
    """Apply every migration to a database."""
    migrated = alembic(dsn, "upgrade", "heads", **env)
    assert migrated.returncode == 0, migrated.stderr


@pytest.fixture(scope="session")
def migrated_template(servers: Servers) -> Iterator[str]:
    """The name of a database with every migration applied, to be copied."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    asyncio.run(_execute(servers.postgres_dsn, f'CREATE DATABASE "{name}"'))
    migrate(database_url(servers.postgres_dsn, name))
    yield name
    asyncio.run(_execute(servers.postgres_dsn, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def database(servers: Servers, migrated_template: str) -> AsyncIterator[str]:
    """The DSN of a fresh, migrated database of this test alone."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await _execute(servers.postgres_dsn, f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')
    yield database_url(servers.postgres_dsn, name)
    await _execute(servers.postgres_dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


MakeTopic = Callable[..., Awaitable[str]]


@pytest.fixture
async def make_topic(servers: Servers) -> AsyncIterator[MakeTopic]:
    """Call it for a new topic: `await make_topic(partitions=4, config={...})` gives its name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka_brokers)
    await admin.start()
    made: list[str] = []

    async def make(name: str | None = None, *, partitions: int = 4, config: dict[str, str] | None = None) -> str:
        topic = name or f"test.{uuid.uuid4().hex[:12]}"
        response = await admin.create_topics(
            [NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=config or {})]
        )
        for _name, code, message in response.topic_errors:
            assert code == 0, f"topic {topic} was not created: {message}"
        made.append(topic)

        # The controller has answered; the broker hears of it a moment later.
        async def known() -> bool:
            (found,) = await admin.describe_topics([topic])
            return bool(found["error_code"] == 0)

        await wait_until(f"the broker to know {topic}", known, 10)
        return topic

    yield make
    if made:
        await admin.delete_topics(made)
    await admin.close()


def s3_client(servers: Servers) -> AbstractAsyncContextManager[Any]:
    """A plain client of the object store, which knows nothing of the archive."""
    created: AbstractAsyncContextManager[Any] = get_session().create_client(
        "s3",
        endpoint_url=servers.s3_endpoint,
        aws_access_key_id=servers.s3_access_key,
        aws_secret_access_key=servers.s3_secret_key,
        region_name=servers.s3_region,
    )
    return created


@pytest.fixture
async def bucket(servers: Servers) -> AsyncIterator[str]:
    """The name of a new, empty bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    async with s3_client(servers) as client:
        await client.create_bucket(Bucket=name)
        yield name
        # A bucket takes volumes of its own from SeaweedFS: without this a long run fills its server.
        async for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            if found := [{"Key": item["Key"]} for item in page.get("Contents", ())]:
                await client.delete_objects(Bucket=name, Delete={"Objects": found})
        await client.delete_bucket(Bucket=name)


@pytest.fixture(scope="session")
def mesh_settings() -> Mapping[str, str]:
    """Settings of the session's mesh, as ATLAS_…; a conftest of yours may give others."""
    return {}


@pytest.fixture(scope="session")
def mesh_schemas() -> Path | None:
    """The schemas folder of the session's mesh, None for the checkout's; a conftest of yours may give another."""
    return None


@pytest.fixture(scope="session")
def mesh_of_session(mesh_settings: Mapping[str, str], mesh_schemas: Path | None) -> Iterator[TestMesh]:
    """The one mesh of the session; use `mesh`, which is whole at the start of each test."""
    # Nobody is to wait long for a segment to be old enough, or for what somebody killed held to go to others.
    settings = {"ATLAS_ARCHIVER_SEGMENT_MAX_AGE_S": "1", "ATLAS_KAFKA_SESSION_S": "3", "ATLAS_RELAY_LEASE_S": "2"}
    with running_mesh({**settings, **mesh_settings}, mesh_schemas) as mesh:
        yield mesh


@pytest.fixture
async def mesh(mesh_of_session: TestMesh) -> AsyncIterator[TestMesh]:
    """A whole running mesh with all five services; what a test stops is started again for the next one.

    Its topics, tables and archive are shared by the tests of the session: name keys freshly.
    """
    await mesh_of_session.until_ready()
    yield mesh_of_session
    await mesh_of_session.until_ready()


def requires(program: str) -> str:
    """The path of a program that only tests use; skips the test, saying what is missing, where there is none."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}, which is not on the PATH (Debian: apt-get install {program})")
    return found
