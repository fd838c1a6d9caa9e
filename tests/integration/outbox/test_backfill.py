"""Each row of a table gets its event once, whatever stops the run, while writers go on."""

import asyncio
import json
from collections import Counter

import asyncpg
import pytest
from atlas_cli.main import app
from atlas_cli.terminal.output import CommandError
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka_format.headers import unpack_headers
from atlas_outbox.backfill import CannotBackfill, Progress, open_backfill
from atlas_outbox.writer import OutboxRecord, append
from typer.testing import CliRunner

from tests.contexts import SCHEMAS

pytestmark = pytest.mark.integration

TABLE = "CREATE TABLE things (part int, name text, version int NOT NULL DEFAULT 1, PRIMARY KEY (part, name))"
YARDS = """
INSERT INTO app.yards (yard_id, email, display_name, registered_at, updated_at)
SELECT gen_random_uuid(), 'u' || n || '@example.org', 'User', n, n
FROM generate_series(1, $1::int) AS n
"""


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    await connection.execute(TABLE)
    await connection.execute("INSERT INTO things SELECT n % 3, 'thing ' || n FROM generate_series(1, 1000) AS n")
    yield connection
    await connection.close()


def record_of(row) -> OutboxRecord:
    return OutboxRecord("things", f"{row['part']}/{row['name']}".encode(), str(row["version"]).encode())


async def keys(connection) -> Counter[bytes]:
    return Counter(row["key"] for row in await connection.fetch("SELECT key FROM outbox.records"))


async def finish(connection, run, rows_max: int = 70) -> Progress:
    while not (progress := await run.step(connection, rows_max, record_of)).finished:
        pass
    return progress


async def test_it_goes_on_where_it_stopped_and_walks_a_key_of_two_columns(connection):
    run = await open_backfill(connection, "things", "t.Thing")
    for _ in range(3):
        assert not (await run.step(connection, 70, record_of)).finished
    again = await open_backfill(connection, "public.things", "t.Thing")
    assert await again.progress(connection) == Progress(210, False)
    assert await finish(connection, again) == Progress(1000, True)
    found = await keys(connection)
    assert (len(found), found.total()) == (1000, 1000)


async def test_a_step_that_fails_writes_nothing(connection):
    run = await open_backfill(connection, "things", "t.Thing")

    def fails(row) -> OutboxRecord:
        raise ValueError(row["name"])

    with pytest.raises(ValueError, match="thing"):
        await run.step(connection, 70, fails)
    assert (await keys(connection), await run.progress(connection)) == (Counter(), Progress(0, False))


async def test_two_runs_at_once_emit_each_row_once(connection, database):
    other = await asyncpg.connect(database)
    try:
        run = await open_backfill(connection, "things", "t.Thing")
        await asyncio.gather(finish(connection, run), finish(other, run, 33))
    finally:
        await other.close()
    assert set((await keys(connection)).values()) == {1}


async def test_a_row_a_writer_holds_stops_the_step_and_no_event_of_it_comes_late(connection, database):
    writer = await asyncpg.connect(database)
    try:
        run = await open_backfill(connection, "things", "t.Thing")
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("UPDATE things SET version = 2 WHERE name = 'thing 9'")
        await append(writer, OutboxRecord("things", b"0/thing 9", b"2"))
        with pytest.raises(asyncpg.LockNotAvailableError):
            await finish(connection, run)
        await transaction.commit()
        await finish(connection, run)
    finally:
        await writer.close()
    values = await connection.fetch("SELECT value FROM outbox.records WHERE key = '0/thing 9' ORDER BY id")
    assert [row["value"] for row in values] == [b"2", b"2"]


async def test_begun_anew_it_emits_all_again(connection):
    await finish(connection, await open_backfill(connection, "things", "t.Thing"))
    await finish(connection, await open_backfill(connection, "things", "t.Thing", anew=True))
    assert set((await keys(connection)).values()) == {2}


async def test_what_can_not_be_walked_is_refused(connection):
    await connection.execute("CREATE TABLE loose (n int)")
    with pytest.raises(CannotBackfill, match="no primary key"):
        await open_backfill(connection, "loose", "t.Thing")
    with pytest.raises(CannotBackfill, match="no table 'nothing'"):
        await open_backfill(connection, "nothing", "t.Thing")


async def command(monkeypatch, database, *arguments: str):
    monkeypatch.setenv("ATLAS_POSTGRES_DSN", database)
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(SCHEMAS))
    return await asyncio.to_thread(CliRunner().invoke, app, ["outbox", "backfill", *arguments])


async def test_the_command_emits_events_that_consumers_can_read(connection, database, monkeypatch):
    await connection.execute(YARDS, 1200)
    arguments = ("app.yards", "--event", "yards.YardRegistered", "--json")
    result = await command(monkeypatch, database, *arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "table": "app.yards",
        "event": "yards.YardRegistered",
        "rows": 1200,
        "finished": True,
    }
    codec = Codec(Registry.load(SCHEMAS))
    rows = await connection.fetch("SELECT * FROM outbox.records ORDER BY id")
    yards = {str(row["yard_id"]): row for row in await connection.fetch("SELECT * FROM app.yards")}
    assert len(rows) == 1200
    for row in rows:
        value = codec.decode(row["value"]).value
        assert value["registered_at"] == yards[value["yard_id"]]["registered_at"]
        assert (row["topic"], row["key"]) == ("yards.events", value["yard_id"].encode())
        headers = dict(unpack_headers(row["headers"]))
        assert (headers["ce_type"], headers["ce_source"]) == (b"yards.YardRegistered", b"/backfill/app.yards")
        assert headers["ce_sequence"] == b"%d" % yards[value["yard_id"]]["version"], "else no projection takes it"


async def test_the_command_names_the_field_that_does_not_fit(connection, database, monkeypatch):
    await connection.execute(YARDS, 10)
    arguments = ("app.yards", "--event", "yards.YardRegistered", "--map", "display_name=registered_at")
    result = await command(monkeypatch, database, *arguments)
    assert isinstance(result.exception, CommandError)
    assert "/display_name: found" in str(result.exception)
    assert await connection.fetchval("SELECT count(*) FROM outbox.records") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("app.yards", "--event", "yards.Nothing"), "yards.Nothing"),
        (("app.yards", "--event", "yards.YardRegistered", "--map", "email"), "expected field=column"),
        (("app.nothing", "--event", "yards.YardRegistered"), "no table"),
    ],
)
async def test_a_wrong_argument_is_one_line(database, monkeypatch, arguments, message):
    result = await command(monkeypatch, database, *arguments)
    assert isinstance(result.exception, CommandError)
    assert message in str(result.exception)
