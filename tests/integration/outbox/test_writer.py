import asyncpg
import pytest
from atlas_kafka_format.headers import unpack_headers
from atlas_outbox.shards import shard_of
from atlas_outbox.writer import OutboxRecord, append, append_many
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

pytestmark = pytest.mark.integration


def record(number: int) -> OutboxRecord:
    return OutboxRecord("yards.events", f"yard-{number}".encode(), b"\x00value", [("ce_id", b"1"), ("none", None)])


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def test_a_row_holds_what_was_appended(connection):
    async with connection.transaction():
        event_id, row_id = await append(connection, record(1))
    assert event_id == "1"
    row = await connection.fetchrow("SELECT * FROM outbox.records")
    assert row["id"] == row_id
    assert (row["topic"], row["key"], row["value"]) == ("yards.events", b"yard-1", b"\x00value")
    assert unpack_headers(row["headers"]) == [("ce_id", b"1"), ("none", None)]
    assert row["shard"] == shard_of("yards.events", b"yard-1")


async def test_many_rows_get_ids_in_their_order(connection):
    async with connection.transaction():
        written = await append_many(connection, [record(n) for n in range(500)])
    rows = await connection.fetch("SELECT id, key FROM outbox.records ORDER BY id")
    assert [row["id"] for row in rows] == [row_id for _event_id, row_id in written]
    assert [row["key"] for row in rows] == [f"yard-{n}".encode() for n in range(500)]


async def test_each_of_many_rows_is_answered_with_its_own_event_id(connection):
    records = [OutboxRecord("t", b"k%d" % (n % 3), b"v", [("ce_id", f"event-{n}".encode())]) for n in range(50)]
    async with connection.transaction():
        written = await append_many(connection, records)
    assert [event_id for event_id, _row_id in written] == [f"event-{n}" for n in range(50)]
    rows = {row["id"]: row["headers"] for row in await connection.fetch("SELECT id, headers FROM outbox.records")}
    assert all(unpack_headers(rows[row_id]) == [("ce_id", event_id.encode())] for event_id, row_id in written)


async def test_no_records_write_nothing(connection):
    async with connection.transaction():
        assert await append_many(connection, []) == []


async def test_a_null_value_is_kept(connection):
    async with connection.transaction():
        await append(connection, OutboxRecord("t", b"k", None))
    assert await connection.fetchval("SELECT value FROM outbox.records") is None


async def test_a_rolled_back_row_is_gone(connection):
    transaction = connection.transaction()
    await transaction.start()
    await append(connection, record(1))
    await transaction.rollback()
    assert await connection.fetchval("SELECT count(*) FROM outbox.records") == 0


async def test_outside_a_transaction_it_refuses(connection):
    with pytest.raises(RuntimeError, match="inside the transaction"):
        await append(connection, record(1))
    with pytest.raises(RuntimeError, match="inside the transaction"):
        await append_many(connection, [record(1)])


@pytest.fixture
async def engine(database):
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"))
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("kind", [AsyncConnection, AsyncSession])
@pytest.mark.parametrize("commits", [True, False])
async def test_inside_a_transaction_of_sqlalchemy(connection, engine, kind, commits):
    await connection.execute("CREATE TABLE entity (name text)")
    async with kind(engine) as caller:
        with pytest.raises(RuntimeError, match="inside the transaction"):
            await append(caller, record(1))
        await caller.execute(text("INSERT INTO entity VALUES ('one')"))
        first = await append(caller, record(1))
        many = await append_many(caller, [record(n) for n in range(2, 50)])
        assert await connection.fetchval("SELECT count(*) FROM outbox.records") == 0
        await (caller.commit() if commits else caller.rollback())
    rows = await connection.fetch("SELECT id, key FROM outbox.records ORDER BY id")
    expected = [(row_id, f"yard-{n}".encode()) for n, (_event, row_id) in enumerate([first, *many], 1)]
    assert [tuple(row) for row in rows] == (expected if commits else [])
    assert await connection.fetchval("SELECT count(*) FROM entity") == int(commits)


async def test_a_record_without_an_event_id_has_none(connection):
    async with connection.transaction():
        assert (await append(connection, OutboxRecord("t", b"k", b"v"))).event_id is None
