"""A database from when all of Atlas's migrations were one chain goes on with a branch a lib, and loses nothing."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.script import Script, ScriptDirectory
from atlas_local.steps import ALEMBIC_INI
from atlas_local.testing import Servers, database_url, migrate
from atlas_runtime import migrations

from tests.integration.postgres.test_init import run_init

pytestmark = pytest.mark.integration

CONFIG = migrations.configured(str(ALEMBIC_INI))
# In the order of the chain.
CHAIN: list[Script] = sorted(
    (each for each in ScriptDirectory.from_config(CONFIG).walk_revisions() if hasattr(each.module, "formerly")),
    key=lambda script: script.module.formerly,
)
NUMBERS = [script.module.formerly for script in CHAIN]
AS_OWNER = "-c role=atlas"
# The catalog, and the versions.
State = tuple[list[tuple[str, ...]], set[str]]
# A row in each table, from the number on that made it.
ROWS = {
    "0001": "INSERT INTO outbox.records (key_hash, shard, topic, key) VALUES (1, 2, 'a.events', 'k')",
    "0002": "INSERT INTO app.idempotency_keys (key, fingerprint, expires_at) VALUES ('k', 'f', 'infinity')",
    "0003": "INSERT INTO readmodel.projections VALUES ('birds', 1)",
    "0004": "INSERT INTO outbox.backfills (source, event_type) VALUES ('app.birds', 'birds.BirdSeen')",
    "0006": "INSERT INTO readmodel.failures (projection, topic, partition, record_offset, attempts, error)"
    " VALUES ('birds', 'a.events', 0, 7, 1, 'e')",
}
KEPT = {
    "0001": "SELECT topic FROM outbox.records",
    "0002": "SELECT key FROM app.idempotency_keys",
    "0003": "SELECT name FROM readmodel.projections",
    "0004": "SELECT source FROM outbox.backfills",
    "0006": "SELECT error FROM readmodel.failures",
}
# What pg_dump would write, an object a row.
CATALOG = """
SELECT 'schema', nspname, nspacl::text, NULL FROM pg_namespace n WHERE {ours}
UNION ALL
SELECT 'relation', c.oid::regclass::text, c.relacl::text, concat_ws(' ', c.relkind, c.reloptions::text)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE {ours}
UNION ALL
SELECT 'column', a.attrelid::regclass::text, concat_ws(' ',
    row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
    a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)), a.attacl::text
FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE {ours} AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), NULL
FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE {ours}
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(o.oid)
FROM pg_constraint o JOIN pg_namespace n ON n.oid = connamespace WHERE {ours}
UNION ALL
SELECT 'comment', c.oid::regclass::text, attname, description
FROM pg_description JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
JOIN pg_class c ON c.oid = objoid JOIN pg_namespace n ON n.oid = relnamespace WHERE {ours}
ORDER BY 1, 2, 3, 4
""".replace("{ours}", "nspname IN ('app', 'outbox', 'readmodel')")


@pytest.fixture
def as_owner(monkeypatch: pytest.MonkeyPatch, fresh: str) -> str:
    """The database, for Alembic in this process, which acts as the owner as the job `migrate` does."""
    monkeypatch.setenv("PGOPTIONS", AS_OWNER)
    monkeypatch.setenv("ATLAS_POSTGRES_DSN", fresh)
    return fresh


@pytest.fixture
async def connection(as_owner: str) -> AsyncIterator[asyncpg.Connection]:
    """To a database that an administrator has prepared."""
    await run_init(as_owner)
    connection = await asyncpg.connect(as_owner)
    yield connection
    await connection.close()


async def alembic(what: str, revision: str) -> None:
    await asyncio.to_thread(getattr(command, what), CONFIG, revision)


async def catalog(connection: asyncpg.Connection) -> list[tuple[str, ...]]:
    return [tuple(row) for row in await connection.fetch(CATALOG)]


async def versions(connection: asyncpg.Connection) -> set[str]:
    return {row["version_num"] for row in await connection.fetch("TABLE alembic_version")}


async def as_before(connection: asyncpg.Connection, number: str, *of_contexts: str) -> None:
    """The database as the chain left it at this number, with rows in it."""
    for script in CHAIN[: NUMBERS.index(number) + 1]:
        await alembic("upgrade", script.revision)
        if script.module.formerly in ROWS:
            await connection.execute(ROWS[script.module.formerly])
    for context in of_contexts:
        await alembic("upgrade", context)
    await connection.execute("DELETE FROM alembic_version")
    # The version of a context stands for the number that it depended on.
    rows = of_contexts if of_contexts and number == "0002" else (*of_contexts, number)
    await connection.executemany("INSERT INTO alembic_version VALUES ($1)", [(each,) for each in rows])


@pytest.fixture(scope="module")
def new(servers: Servers) -> Iterator[State]:
    """A database that was begun with the branches."""
    name = f"new_{uuid.uuid4().hex[:12]}"
    dsn = database_url(servers.postgres_dsn, name)

    async def on_server(statement: str) -> None:
        admin = await asyncpg.connect(servers.postgres_dsn)
        await admin.execute(statement)
        await admin.close()

    async def found() -> State:
        connection = await asyncpg.connect(dsn)
        state = await catalog(connection), await versions(connection)
        await connection.close()
        return state

    asyncio.run(on_server(f'CREATE DATABASE "{name}"'))
    asyncio.run(run_init(dsn))
    migrate(dsn, PGOPTIONS=AS_OWNER)
    yield asyncio.run(found())
    asyncio.run(on_server(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.mark.parametrize(
    ("number", "of_contexts"),
    [*((each, ()) for each in NUMBERS), *((each, ("yards_0001",)) for each in NUMBERS if each >= "0002")],
)
async def test_each_number_goes_on_to_what_a_new_database_is(
    number: str, of_contexts: tuple[str, ...], connection: asyncpg.Connection, new: State
) -> None:
    await as_before(connection, number, *of_contexts)
    await alembic("upgrade", "heads")
    assert (await catalog(connection), await versions(connection)) == new
    for since, query in KEPT.items():
        assert len(await connection.fetch(query)) == (since <= number), query


MIGRATION = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "more_0001", None, ("more",), "{number}"


def upgrade() -> None:
    op.execute("CREATE TABLE app.more (id int)")
"""


@pytest.fixture
def depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a context whose migration depends on a number of the chain."""

    def write(number: str) -> None:
        (tmp_path / "more_0001_more.py").write_text(MIGRATION.format(number=number))
        places = CONFIG.get_main_option("version_locations")
        monkeypatch.setattr(sys.modules[__name__], "CONFIG", migrations.configured(str(ALEMBIC_INI)))
        CONFIG.set_main_option("version_locations", f"{places}{os.pathsep}{tmp_path}")

    return write


async def test_a_context_may_depend_on_a_number(
    connection: asyncpg.Connection, depend_on: Callable[[str], None]
) -> None:
    depend_on("0004")
    await alembic("upgrade", "heads")
    assert await connection.fetchval("SELECT to_regclass('app.more') IS NOT NULL")


@pytest.mark.parametrize("number", ["0002", "0004", "0012"])
async def test_the_version_of_a_context_may_stand_for_the_number(
    number: str, connection: asyncpg.Connection, depend_on: Callable[[str], None], new: State
) -> None:
    """As Alembic left it when the context's migration was the last, and so when it depends on the chain's newest."""
    depend_on(number)
    await as_before(connection, number, "more_0001")
    await connection.execute("DELETE FROM alembic_version WHERE version_num = $1", number)
    await alembic("upgrade", "heads")
    await connection.execute("DROP TABLE app.more")
    assert (await catalog(connection), await versions(connection)) == (new[0], {*new[1], "more_0001"})


async def test_it_can_be_taken_back_to_an_empty_database(connection: asyncpg.Connection) -> None:
    before = await catalog(connection)
    await as_before(connection, "0012", "yards_0001")
    await alembic("downgrade", "base")
    assert (await catalog(connection), await versions(connection)) == (before, set())


async def test_what_a_lib_takes_back_leaves_the_others(connection: asyncpg.Connection, new: State) -> None:
    """The outbox's newest makes its table anew; what another lib has stays."""
    await alembic("upgrade", "heads")
    await connection.execute(ROWS["0002"])
    await alembic("downgrade", "outbox@outbox_0002")
    assert await versions(connection) == {*new[1] - {"outbox_0003"}, "outbox_0002"}
    assert len(await connection.fetch(KEPT["0002"])) == 1
    await alembic("upgrade", "heads")
    assert (await catalog(connection), await versions(connection)) == new


async def test_the_outbox_alone(connection: asyncpg.Connection) -> None:
    await alembic("upgrade", "outbox@head")
    assert await versions(connection) == {"outbox_0003"}
    assert {row["name"] for row in await connection.fetch("SELECT nspname AS name FROM pg_namespace")} & {
        "app",
        "outbox",
        "readmodel",
    } == {"outbox"}
