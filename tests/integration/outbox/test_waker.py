import asyncio

import asyncpg
import pytest
from atlas_outbox import waker as waker_module
from atlas_outbox.waker import CHANNEL, open_waker

pytestmark = pytest.mark.integration


async def test_a_nudge_reaches_a_listener_and_a_burst_is_few_notifications(database):
    heard = asyncio.Queue()
    connection = await asyncpg.connect(database)
    try:
        await connection.add_listener(CHANNEL, lambda *_: heard.put_nowait(None))
        async with open_waker(database) as waker:
            for _ in range(1000):
                waker.nudge()
            await asyncio.wait_for(heard.get(), 5)
            waker.nudge()
            await asyncio.wait_for(heard.get(), 5)
            assert heard.qsize() < 5
    finally:
        await connection.close()


async def test_it_reconnects_after_its_connection_was_ended(database):
    heard = asyncio.Event()
    connection = await asyncpg.connect(database)
    try:
        await connection.add_listener(CHANNEL, lambda *_: heard.set())
        async with open_waker(database) as waker:
            waker.nudge()
            await asyncio.wait_for(heard.wait(), 5)
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%NOTIFY%'"
            own = " AND datname = current_database() AND pid <> pg_backend_pid()"
            assert await connection.fetchval(ended + own) == 1
            heard.clear()
            async with asyncio.timeout(5):
                while not heard.is_set():
                    waker.nudge()
                    await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_without_a_database_nudges_are_harmless(database, monkeypatch):
    """They cost the writer nothing, and the last one is sent once there is a database."""
    heard, attempts, connect = asyncio.Event(), 0, asyncpg.connect

    async def from_the_third_attempt(dsn, **options):
        nonlocal attempts
        attempts += 1
        return await connect(dsn if attempts > 2 else "postgresql://nobody@127.0.0.1:1/none", **options)

    listener = await connect(database)
    await listener.add_listener(CHANNEL, lambda *_: heard.set())
    monkeypatch.setattr(asyncpg, "connect", from_the_third_attempt)
    monkeypatch.setattr(waker_module, "_RECONNECT_S", 0.01)
    async with open_waker(database) as waker:
        waker.nudge()
        await asyncio.wait_for(heard.wait(), 5)
    await listener.close()
    assert attempts == 3
