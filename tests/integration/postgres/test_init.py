"""infra/postgres/init and the migrations on a real server: each role can do its work and no more."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest
from atlas_local.testing import migrate
from atlas_outbox.writer import OutboxRecord, append

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
SQL_FILES = sorted((ROOT / "infra" / "postgres" / "init").glob("*.sql"))
RECORD = OutboxRecord(topic="yards.events", key=b"key", value=b"value", headers=())


async def run_init(dsn: str) -> None:
    """Run the SQL files as the administrator, as the image and the embedded mesh do."""
    connection = await asyncpg.connect(dsn)
    try:
        for file in SQL_FILES:
            await connection.execute(file.read_text())
    finally:
        await connection.close()


def migrate_as_owner(dsn: str) -> None:
    """What the job `migrate` does; the role is taken on, because only the administrator can log in here."""
    migrate(dsn, PGOPTIONS="-c role=atlas")


async def as_role(dsn: str, role: str) -> asyncpg.Connection:
    """A connection with the rights of the role."""
    return await asyncpg.connect(dsn, server_settings={"role": role})


async def test_it_can_be_run_before_and_after_the_migrations(fresh: str) -> None:
    await run_init(fresh)
    await run_init(fresh)
    await asyncio.to_thread(migrate_as_owner, fresh)
    await run_init(fresh)
    admin = await asyncpg.connect(fresh)
    extensions = {row["extname"] for row in await admin.fetch("SELECT extname FROM pg_extension")}
    owner = await admin.fetchval("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")
    await admin.close()
    assert {"pg_trgm", "btree_gin"} <= extensions
    assert owner == "atlas"


async def test_a_service_works_without_owning_anything(fresh: str) -> None:
    await run_init(fresh)
    await asyncio.to_thread(migrate_as_owner, fresh)
    app = await as_role(fresh, "atlas_app")
    async with app.transaction():
        assert (await append(app, RECORD)).row_id > 0
    await app.execute("INSERT INTO app.idempotency_keys (key, fingerprint, expires_at) VALUES ('k', '', now())")
    # As the projector makes a generation, a staging table and the view that readers see.
    await app.execute("CREATE TABLE readmodel.birds_g1 (name text PRIMARY KEY)")
    await app.execute("CREATE INDEX ON readmodel.birds_g1 USING gin (name gin_trgm_ops)")
    await app.execute("CREATE TEMP TABLE stage (LIKE readmodel.birds_g1) ON COMMIT DELETE ROWS")
    await app.execute("CREATE OR REPLACE VIEW readmodel.birds AS SELECT * FROM readmodel.birds_g1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("DROP TABLE outbox.records")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("ALTER TABLE app.yards ADD COLUMN x int")
    await app.close()
    # The owner may replace what a service made, and goes on after it.
    owner = await as_role(fresh, "atlas")
    await owner.execute("CREATE OR REPLACE VIEW readmodel.birds AS SELECT name, 1 AS n FROM readmodel.birds_g1")
    await owner.close()


async def test_a_dashboard_reads_everything_and_writes_nothing(fresh: str) -> None:
    await run_init(fresh)
    await asyncio.to_thread(migrate_as_owner, fresh)
    app = await as_role(fresh, "atlas_app")
    async with app.transaction():
        await append(app, RECORD)
    await app.execute("CREATE TABLE readmodel.birds_g1 (name text PRIMARY KEY)")
    await app.close()
    reader = await as_role(fresh, "atlas_readonly")
    assert await reader.fetchval("SELECT count(*) FROM outbox.records") == 1
    assert await reader.fetchval("SELECT count(*) FROM readmodel.birds_g1") == 0
    assert await reader.fetchval("SELECT count(*) FROM app.yards") == 0
    for statement in (
        "DELETE FROM outbox.records",
        "CREATE TABLE readmodel.x (n int)",
        "CREATE TABLE public.x (n int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
    await reader.close()


async def test_no_other_role_gets_in(fresh: str) -> None:
    await run_init(fresh)
    admin = await asyncpg.connect(fresh)
    rights = await admin.fetch(
        "SELECT (aclexplode(datacl)).grantee AS grantee FROM pg_database WHERE datname = current_database()"
    )
    everyone = 0
    assert everyone not in {row["grantee"] for row in rights}
    await admin.close()


async def test_two_who_set_up_one_database_at_once_do_not_fail_on_each_other(fresh: str) -> None:
    await asyncio.gather(*(run_init(fresh) for _ in range(4)))


def test_the_files_are_plain_sql_without_passwords() -> None:
    assert [file.name for file in SQL_FILES] == ["01-roles.sql", "02-database.sql"]
    for file in SQL_FILES:
        statements = re.sub(r"--.*", "", file.read_text())
        assert not re.search(r"(?m)^\s*\\", statements), f"{file.name}: only psql understands a backslash command"
        assert "PASSWORD" not in statements, file.name
