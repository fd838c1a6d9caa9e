"""What a migration does about data that it finds, on a real server."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from atlas_local.testing import Servers, database_url

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def empty(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    """A new database without a table."""
    name = f"migrations_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(servers.postgres_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    connection = await asyncpg.connect(database_url(servers.postgres_dsn, name))
    yield connection
    await connection.close()
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def alembic(servers: Servers, connection: asyncpg.Connection, *arguments: str) -> subprocess.CompletedProcess:
    """Alembic's command on the connection's database, whether it works or not."""
    dsn = database_url(servers.postgres_dsn, await connection.fetchval("SELECT current_database()"))
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "alembic", "-c", str(ROOT / "infra/postgres/alembic.ini"), *arguments],
        env={**os.environ, "ATLAS_POSTGRES_DSN": dsn},
        capture_output=True,
        text=True,
        check=False,
    )


async def state(connection: asyncpg.Connection) -> tuple[str, list[tuple[str, ...]]]:
    """The version of the database, and each column of the outbox."""
    columns = await connection.fetch(
        "SELECT table_name, column_name, data_type, column_default FROM information_schema.columns"
        " WHERE table_schema = 'outbox' ORDER BY table_name, ordinal_position"
    )
    return await connection.fetchval("SELECT version_num FROM alembic_version"), [tuple(row) for row in columns]


async def test_0009_leaves_half_done_batches_to_the_relay_that_wrote_them(servers, empty) -> None:
    assert (await alembic(servers, empty, "upgrade", "0008")).returncode == 0
    await empty.execute(
        "INSERT INTO outbox.batches (shard_group, token, transactional_id, ids) VALUES (3, $1, 'relay-3', '{7, 9}')",
        uuid.uuid4(),
    )
    before, batches = await state(empty), await empty.fetch("TABLE outbox.batches")

    refused = await alembic(servers, empty, "upgrade", "head")
    assert refused.returncode != 0
    assert "holds half-done batches: start and stop the relay of the version before once" in refused.stderr
    assert await state(empty) == before
    assert await empty.fetch("TABLE outbox.batches") == batches

    await empty.execute("DELETE FROM outbox.batches")  # as that relay does when it takes the group over
    migrated = await alembic(servers, empty, "upgrade", "0009")
    assert migrated.returncode == 0, migrated.stderr
    version, columns = await state(empty)
    assert version == "0009"
    assert ("leases", "sender", "text", None) in columns
    assert "batches" not in {table for table, *_rest in columns}


async def test_0009_can_be_taken_back(servers, empty) -> None:
    """The version before finds its table as it was."""
    assert (await alembic(servers, empty, "upgrade", "0008")).returncode == 0
    before = await state(empty)
    assert (await alembic(servers, empty, "upgrade", "0009")).returncode == 0
    assert await state(empty) != before
    assert (await alembic(servers, empty, "downgrade", "0008")).returncode == 0
    assert await state(empty) == before
