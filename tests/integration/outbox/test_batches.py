"""What a relay's statements read, whatever the server last learned about the table."""

import uuid

import asyncpg
import pytest
from atlas_outbox import leases
from atlas_outbox.batches import Want
from atlas_outbox.horizon import Horizon
from atlas_outbox.reader import Reader
from atlas_outbox.session import open_session
from atlas_outbox.writer import OutboxRecord, append_many

ROWS, BATCH = 8_000, 800
INDEX_READS = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'outbox.records'::regclass"


pytestmark = pytest.mark.integration


@pytest.fixture
async def session(database):
    """A relay's connection to an outbox with a backlog; when the server last looked it had pages but no rows."""
    connection = await asyncpg.connect(database)
    await _fill(connection)
    await connection.execute("DELETE FROM outbox.records")
    await connection.execute("VACUUM (ANALYZE, TRUNCATE false) outbox.records")
    await _fill(connection)
    await connection.close()
    async with open_session(database) as session:
        yield session


async def _fill(connection):
    async with connection.transaction():
        await append_many(connection, [OutboxRecord("t", f"k{n}".encode(), b"v") for n in range(ROWS)])


async def _claimed(session):
    epochs = await leases.take(session, "me", 60, 8)
    claim = await Reader(session).claim([Want(g, e, 0, BATCH // 8) for g, e in epochs.items()], max_bytes=1 << 30)
    assert len(claim.rows) == BATCH
    return epochs, claim.rows


async def test_a_claim_reads_its_rows_twice_and_no_others(session):
    async with session.transaction():
        await _claimed(session)
        assert await session.fetchval(INDEX_READS) <= 2 * BATCH


async def test_a_delete_reads_no_row_but_its_own(session):
    async with session.transaction():
        epochs, rows = await _claimed(session)
        before = await session.fetchval(INDEX_READS)
        assert await Reader(session).delete(epochs, rows) == set(epochs)
        assert await session.fetchval(INDEX_READS) - before <= BATCH
        assert await session.fetchval("SELECT count(*) FROM outbox.records") == ROWS - BATCH


async def test_a_finish_reads_no_row_but_its_own(session):
    token = uuid.uuid4()
    async with session.transaction():
        epochs, rows = await _claimed(session)
        await Reader(session).pledge({g: (e, 0) for g, e in epochs.items()}, rows, (token, "txn"))
        before = await session.fetchval(INDEX_READS)
        assert await Reader(session).finish(epochs, token) == set(epochs)
        assert await session.fetchval(INDEX_READS) - before <= BATCH
        assert await session.fetchval("SELECT count(*) FROM outbox.records") == ROWS - BATCH


async def test_parking_reads_its_rows_twice_and_no_others(session):
    async with session.transaction():
        epochs, rows = await _claimed(session)
        before = await session.fetchval(INDEX_READS)
        ids = [row[1] for row in rows if row[0] == 3]
        assert await Reader(session).park((3, epochs[3], 0), dict.fromkeys(ids, "no"))
        assert await session.fetchval(INDEX_READS) - before <= 2 * len(ids)
        assert await session.fetchval("SELECT count(*) FROM outbox.parked WHERE error = 'no'") == len(ids)


async def test_a_look_names_the_writers_whose_ids_are_not_settled(session, database):
    writer = await asyncpg.connect(database)
    transaction = writer.transaction()
    await transaction.start()
    (late,) = await append_many(writer, [OutboxRecord("t", b"late", b"v")])
    horizon, reader = Horizon(), Reader(session)
    horizon.saw(first := await reader.look())
    assert first.last_id == late.row_id
    horizon.saw(await reader.look())
    assert horizon.settled == 0
    await transaction.commit()
    await writer.close()
    horizon.saw(await reader.look())
    assert horizon.settled == late.row_id


async def test_a_claim_begins_at_its_floor(session):
    epochs, rows = await _claimed(session)
    floors = {group: max(row[1] for row in rows if row[0] == group) + 1 for group in epochs}
    async with session.transaction():
        await session.execute("DELETE FROM outbox.records WHERE id = ANY ($1::bigint[])", [row[1] for row in rows])
        before = await session.fetchval(INDEX_READS)
        wants = [Want(group, epoch, 0, 10, floors[group]) for group, epoch in epochs.items()]
        assert len((await Reader(session).claim(wants, max_bytes=1 << 30)).rows) == 80
        assert await session.fetchval(INDEX_READS) - before <= 2 * 80
