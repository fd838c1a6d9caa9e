"""Rows of committed transactions arrive once and in order per key; rows of others never do."""

import asyncio
import random
from contextlib import AsyncExitStack

import asyncpg
import pytest
from aiokafka.partitioner import DefaultPartitioner
from atlas_local.waiting import wait_until
from atlas_outbox.waker import open_waker
from atlas_outbox.writer import append
from atlas_relay.watch import listen

pytestmark = pytest.mark.integration

LISTENS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'atlas-relay-listen' AND query LIKE 'LISTEN%' AND datname = current_database()
"""


async def test_what_was_committed_before_and_after_the_start_arrives(outbox, each_delivery, run_relay):
    await outbox.commit(*[(f"k{n % 7}", n) for n in range(100)])
    async with run_relay(each_delivery):
        await outbox.commit(*[(f"k{n % 7}", n) for n in range(100, 200)])
        await outbox.until_empty()
    await outbox.delivered.until([(f"k{n % 7}", n) for n in range(200)])


async def test_key_value_headers_and_partition_are_the_ones_appended(outbox, settings, run_relay):
    await outbox.commit(*[(f"user-{n}", n) for n in range(50)])
    async with run_relay(settings):
        await outbox.until_empty()
    records = await outbox.delivered.records()
    assert sorted((r.key, r.value) for r in records) == sorted(
        (f"user-{n}".encode(), str(n).encode()) for n in range(50)
    )
    for found in records:
        assert list(found.headers) == [("ce_id", found.key + b"-" + found.value)]
        assert found.partition == DefaultPartitioner()(found.key, [0, 1, 2, 3], [0, 1, 2, 3])


async def test_concurrent_writers_with_roll_backs(outbox, each_delivery, run_relay):
    """Each writer locks the entity, appends, and commits or rolls back after a pause of its own."""
    await outbox.connection.execute("CREATE TABLE entity (key text PRIMARY KEY, version int NOT NULL)")
    await outbox.connection.execute("INSERT INTO entity SELECT 'k' || n, 0 FROM generate_series(0, 9) AS n")
    committed: list[tuple[str, int]] = []
    choose = random.Random(7)

    async def write(connection: asyncpg.Connection) -> None:
        for _ in range(30):
            key, fails = f"k{choose.randrange(10)}", choose.random() < 0.3
            transaction = connection.transaction()
            await transaction.start()
            update = "UPDATE entity SET version = version + 1 WHERE key = $1 RETURNING version"
            version = await connection.fetchval(update, key)
            await append(connection, outbox.record(key, version))
            await asyncio.sleep(choose.random() * 0.02)
            if fails:
                await transaction.rollback()
            else:
                committed.append((key, version))
                await transaction.commit()

    async with run_relay(each_delivery), AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as writers:
            for _ in range(6):
                connection = await asyncpg.connect(outbox.dsn)
                stack.push_async_callback(connection.close)
                writers.create_task(write(connection))
        await outbox.until_empty()
    await outbox.delivered.until(committed)


async def test_a_transaction_that_commits_late_is_not_skipped(outbox, each_delivery, run_relay):
    late = await asyncpg.connect(outbox.dsn)
    try:
        async with run_relay(each_delivery):
            transaction = late.transaction()
            await transaction.start()
            first = (await append(late, outbox.record("late", 1))).row_id
            ids = await outbox.commit(*[(f"k{n}", n) for n in range(300)])
            assert first < min(ids)
            await outbox.delivered.until([(f"k{n}", n) for n in range(300)])
            await transaction.commit()
            await outbox.until_empty()
    finally:
        await late.close()
    assert ("late", 1) in await outbox.delivered.read()


async def test_a_backlog_of_many_batches(outbox, each_delivery, run_relay):
    settings = each_delivery.model_copy(update={"relay_batch_rows": 100, "relay_batch_bytes": 4096})
    items = [(f"k{n % 31}", n) for n in range(2000)]
    await outbox.commit(*items)
    async with run_relay(settings):
        await outbox.until_empty()
    await outbox.delivered.until(items)


async def test_a_nudge_wakes_it_long_before_the_poll(outbox, settings, run_relay):
    settings = settings.model_copy(update={"relay_poll_s": 30.0})
    async with run_relay(settings) as relay, open_waker(outbox.dsn) as waker:
        stop = asyncio.Event()
        listening = asyncio.create_task(listen(outbox.dsn, relay.lanes, stop))
        await wait_until("the listener", lambda: outbox.connection.fetchval(LISTENS))
        await outbox.commit(("k", 1))
        waker.nudge()
        await outbox.until_empty(seconds=5)
        stop.set()
        await listening
    await outbox.delivered.until([("k", 1)])


async def test_no_key_collides_with_another_topic(outbox, make_topic, settings, on_topic, run_relay):
    topics = [await make_topic(partitions=1) for _ in range(3)]
    for topic in topics:
        await outbox.commit(*[("same", n) for n in range(5)], topic=topic)
    async with run_relay(settings):
        await outbox.until_empty()
    for topic in topics:
        assert await on_topic(topic).read() == [("same", n) for n in range(5)]
