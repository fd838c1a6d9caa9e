"""What a relay's statements read, whatever the server last learned about the table."""

import asyncpg
import pytest
from atlas_outbox.relaying import leases
from atlas_outbox.relaying.batches import Want
from atlas_outbox.relaying.horizon import Horizon
from atlas_outbox.relaying.sent import sent_of
from atlas_outbox.relaying.session import open_session
from atlas_outbox.relaying.store import Store
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
    claim = await Store(session).claim([Want(g, e, 0, BATCH // 8) for g, e in epochs.items()], max_bytes=1 << 30)
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
        assert await Store(session).delete(epochs, [row[1] for row in rows], durable=True) == set(epochs)
        assert await session.fetchval(INDEX_READS) - before <= BATCH
        assert await session.fetchval("SELECT count(*) FROM outbox.records") == ROWS - BATCH


async def test_what_was_sent_is_deleted_whoever_owns_its_groups_now(session):
    epochs, rows = await _claimed(session)
    others = {group: epoch + (group < 3) for group, epoch in epochs.items()}
    assert await Store(session).delete(others, [row[1] for row in rows], durable=False) == {3, 4, 5, 6, 7}
    assert await session.fetchval("SELECT count(*) FROM outbox.records") == ROWS - BATCH


@pytest.mark.parametrize("durable", [True, False])
async def test_a_delete_is_on_disk_when_that_was_asked_for(session, durable):
    """Also when it is told that no group is its caller's any more."""
    epochs, rows = await _claimed(session)
    await session.execute("SET commit_delay = 0")
    not_ours = dict.fromkeys(epochs, 99)
    assert await Store(session).delete(not_ours, [row[1] for row in rows], durable=durable) == set()
    flushed = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"
    assert await session.fetchval(flushed) or not durable


async def test_recovery_deletes_the_batches_that_are_there_and_no_others(session):
    _epochs, rows = await _claimed(session)
    there, also, changed, gone = rows[:100], rows[100:200], rows[200:300], rows[300:400]
    sent = [sent_of(batch) for batch in (there, changed, gone, also)]
    await session.execute("UPDATE outbox.records SET headers = '\\x01' WHERE id = $1", changed[50][1])
    await session.execute("DELETE FROM outbox.records WHERE id = $1", gone[0][1])
    async with session.transaction():
        before = await session.fetchval(INDEX_READS)
        assert await Store(session).delete_sent(sent) == 2
        assert await session.fetchval(INDEX_READS) - before <= 399 + 200
    left = {row[0] for row in await session.fetch("SELECT id FROM outbox.records")}
    assert left.isdisjoint(row[1] for row in there + also)
    assert left.issuperset(row[1] for row in changed + gone[1:])


async def test_recovery_without_a_batch_deletes_nothing(session):
    assert await Store(session).delete_sent([]) == 0
    assert await session.fetchval("SELECT count(*) FROM outbox.records") == ROWS


async def test_a_sender_is_known_until_its_group_is_left(session):
    store, epochs = Store(session), await leases.take(session, "me", 60, 8)
    nobody = dict.fromkeys(epochs)
    assert await store.senders(list(epochs)) == nobody
    assert await store.set_sender(epochs, nobody, "one") == set(epochs)
    ones = dict.fromkeys(epochs, "one")
    assert await store.set_sender({0: epochs[0], 1: epochs[1]}, ones, "two") == {0, 1}
    assert await store.set_sender({2: epochs[2] + 1, 3: epochs[3]}, ones, None) == {3}, "the other is not ours"
    assert await store.senders([0, 1, 2, 3]) == {0: "two", 1: "two", 2: "one", 3: None}
    for late in ("one", None):
        former = dict.fromkeys(epochs) if late else ones
        assert await store.set_sender({1: epochs[1]}, former, late) == set(), "of a connection that was given up"
    await session.execute("UPDATE outbox.leases SET expires_at = '-infinity'")
    await leases.take(session, "other", 60, 8)
    assert await store.senders([0]) == {0: "two"}, "a new owner must know whom to fence"


async def test_parking_reads_its_rows_twice_and_no_others(session):
    async with session.transaction():
        epochs, rows = await _claimed(session)
        before = await session.fetchval(INDEX_READS)
        ids = [row[1] for row in rows if row[0] == 3]
        assert await Store(session).park((3, epochs[3], 0), dict.fromkeys(ids, "no"))
        assert await session.fetchval(INDEX_READS) - before <= 2 * len(ids)
        assert await session.fetchval("SELECT count(*) FROM outbox.parked WHERE error = 'no'") == len(ids)


async def test_a_look_names_the_writers_whose_ids_are_not_settled(session, database):
    writer = await asyncpg.connect(database)
    transaction = writer.transaction()
    await transaction.start()
    (late,) = await append_many(writer, [OutboxRecord("t", b"late", b"v")])
    horizon, store = Horizon(), Store(session)
    horizon.saw(first := await store.look())
    assert first.last_id == late.row_id
    horizon.saw(await store.look())
    assert horizon.settled == 0
    await transaction.commit()
    await writer.close()
    horizon.saw(await store.look())
    assert horizon.settled == late.row_id


async def test_a_claim_begins_at_its_floor(session):
    epochs, rows = await _claimed(session)
    floors = {group: max(row[1] for row in rows if row[0] == group) + 1 for group in epochs}
    async with session.transaction():
        await session.execute("DELETE FROM outbox.records WHERE id = ANY ($1::bigint[])", [row[1] for row in rows])
        before = await session.fetchval(INDEX_READS)
        wants = [Want(group, epoch, 0, 10, floors[group]) for group, epoch in epochs.items()]
        assert len((await Store(session).claim(wants, max_bytes=1 << 30)).rows) == 80
        assert await session.fetchval(INDEX_READS) - before <= 2 * 80
