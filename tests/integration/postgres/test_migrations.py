"""What a migration does about data that it finds, on a real server."""

import asyncio
import subprocess
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from atlas_local.testing import alembic
from atlas_runtime import contexts

pytestmark = pytest.mark.integration


@pytest.fixture
async def connection(fresh: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh)
    yield connection
    await connection.close()


async def run(dsn: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(alembic, dsn, *arguments)


async def state(connection: asyncpg.Connection) -> tuple[str, list[tuple[str, ...]]]:
    """The version of the outbox, and each of its columns."""
    columns = await connection.fetch(
        "SELECT table_name, column_name, data_type, column_default FROM information_schema.columns"
        " WHERE table_schema = 'outbox' ORDER BY table_name, ordinal_position"
    )
    version = await connection.fetchval("SELECT version_num FROM alembic_version WHERE version_num ~ '^outbox_'")
    return version, [tuple(row) for row in columns]


async def test_outbox_0003_leaves_half_done_batches_to_the_relay_that_wrote_them(fresh, connection) -> None:
    assert (await run(fresh, "upgrade", "outbox_0002")).returncode == 0
    await connection.execute(
        "INSERT INTO outbox.batches (shard_group, token, transactional_id, ids) VALUES (3, $1, 'relay-3', '{7, 9}')",
        uuid.uuid4(),
    )
    before, batches = await state(connection), await connection.fetch("TABLE outbox.batches")

    refused = await run(fresh, "upgrade", "heads")
    assert refused.returncode != 0
    assert "holds half-done batches: start and stop the relay of the version before once" in refused.stderr
    assert await state(connection) == before
    assert await connection.fetch("TABLE outbox.batches") == batches

    await connection.execute("DELETE FROM outbox.batches")  # as that relay does when it takes the group over
    migrated = await run(fresh, "upgrade", "outbox_0003")
    assert migrated.returncode == 0, migrated.stderr
    version, columns = await state(connection)
    assert version == "outbox_0003"
    assert ("leases", "sender", "text", None) in columns
    assert "batches" not in {table for table, *_rest in columns}


async def test_outbox_0003_can_be_taken_back(fresh, connection) -> None:
    """The version before finds its table as it was."""
    assert (await run(fresh, "upgrade", "outbox_0002")).returncode == 0
    before = await state(connection)
    assert (await run(fresh, "upgrade", "outbox_0003")).returncode == 0
    assert await state(connection) != before
    assert (await run(fresh, "downgrade", "outbox@outbox_0002")).returncode == 0
    assert await state(connection) == before


async def test_a_context_that_is_gone_stops_no_migration_and_goes_on_when_it_is_back(fresh, connection) -> None:
    assert (await run(fresh, "upgrade", "heads")).returncode == 0
    at = {row["version_num"] for row in await connection.fetch("TABLE alembic_version")}
    await connection.execute("CREATE TABLE app.kept (id int)")
    await connection.execute("INSERT INTO alembic_version VALUES ('gone_0003')")

    again = await run(fresh, "upgrade", "heads")
    assert again.returncode == 0, again.stderr
    assert "the context gone is not here any more; its tables stay as they are" in again.stderr
    assert {row["version_num"] for row in await connection.fetch("TABLE alembic_version")} == at
    assert await connection.fetchval("SELECT to_regclass('app.kept') IS NOT NULL")

    # As if one that is here had been gone for a while: its first migration does not run a second time.
    one = next(version for version in sorted(at) if version.partition("_")[0] in contexts.offered(contexts.MIGRATIONS))
    await connection.execute("DELETE FROM alembic_version WHERE version_num = $1", one)
    await connection.execute("INSERT INTO alembic_version_absent VALUES ($1)", one)
    back = await run(fresh, "upgrade", "heads")
    assert back.returncode == 0, back.stderr
    assert {row["version_num"] for row in await connection.fetch("TABLE alembic_version")} == at
    absent = [row["version_num"] for row in await connection.fetch("TABLE alembic_version_absent")]
    assert absent == ["gone_0003"]


async def test_a_version_that_nobody_knows_is_still_an_error(fresh, connection) -> None:
    assert (await run(fresh, "upgrade", "heads")).returncode == 0
    await connection.execute("UPDATE alembic_version SET version_num = '9999' WHERE version_num ~ '^outbox_'")
    refused = await run(fresh, "upgrade", "heads")
    assert refused.returncode != 0
    assert "9999" in refused.stdout + refused.stderr
