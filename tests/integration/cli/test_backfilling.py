"""`atlas outbox backfill` as a process beside live traffic: killed in the middle, run again, within its bound."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from atlas_local.waiting import wait_until
from atlas_outbox.writer import OutboxRecord, append

from tests.contexts import SCHEMAS

pytestmark = pytest.mark.integration

YARDS, BOUND, BATCH = 6000, 1000, 500
_MAKE_YARDS = """
INSERT INTO app.yards (yard_id, email, display_name, registered_at, updated_at)
SELECT gen_random_uuid(), 'u' || n || '@example.org', 'User', n, n FROM generate_series(1, $1::int) AS n
"""
_UPDATE = "UPDATE app.yards SET display_name = 'Live' WHERE yard_id = (SELECT yard_id FROM app.yards OFFSET $1 LIMIT 1)"

_TAKE = "DELETE FROM outbox.records WHERE id IN (SELECT id FROM outbox.records ORDER BY id LIMIT 100) RETURNING key"


@pytest.fixture
async def connection(database: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database)
    await connection.execute(_MAKE_YARDS, YARDS)
    yield connection
    await connection.close()


async def command(database: str) -> asyncio.subprocess.Process:
    words = [
        "outbox",
        "backfill",
        "app.yards",
        "--event",
        "yards.YardRegistered",
        "--json",
        "--backlog",
        str(BOUND),
    ]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_cli.main", *words),
        env={**os.environ, "ATLAS_POSTGRES_DSN": database, "ATLAS_SCHEMAS_DIR": str(SCHEMAS)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


class Relaying:
    """Takes rows out of the outbox as a slow relay would, and remembers what it took and how many there were."""

    def __init__(self) -> None:
        self.taken: Counter[bytes] = Counter()
        self.most = 0

    async def run(self, database: str, stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(database)
        while not stop.is_set():
            self.most = max(self.most, await connection.fetchval("SELECT count(*) FROM outbox.records"))
            rows = await connection.fetch(_TAKE)
            self.taken.update(row["key"] for row in rows)
            await asyncio.sleep(0.03)
        await connection.close()


async def live(database: str, stop: asyncio.Event) -> int:
    """Writers' transactions on the same rows, each of which may wait for no more than the bound of a batch."""
    connection = await asyncpg.connect(database, server_settings={"lock_timeout": "3s"})
    commits = 0
    while not stop.is_set():
        async with connection.transaction():
            await connection.execute(_UPDATE, commits * 37 % YARDS)
            await append(connection, OutboxRecord("yards.events", b"live", b"value"))
        commits += 1
        await asyncio.sleep(0.01)
    await connection.close()
    return commits


async def done(connection: "asyncpg.Connection[Any]") -> int:
    """Rows that have their event."""
    return int(await connection.fetchval("SELECT coalesce(max(rows), 0) FROM outbox.backfills"))


async def test_killed_in_the_middle_it_goes_on_and_live_traffic_never_stops(
    connection: "asyncpg.Connection[Any]", database: str
) -> None:
    relaying, stop = Relaying(), asyncio.Event()
    tasks = [asyncio.create_task(relaying.run(database, stop)), asyncio.create_task(live(database, stop))]
    try:
        first = await command(database)
        await wait_until("a third to be done", lambda: _at_least(connection, YARDS // 3), 60)
        first.send_signal(signal.SIGKILL)
        await first.communicate()
        when_killed = await done(connection)
        assert when_killed < YARDS, "it was killed in the middle"
        again = await command(database)
        out, err = await again.communicate()
        assert again.returncode == 0, err.decode()
        assert json.loads(out)["rows"] == YARDS
        empty = "SELECT NOT EXISTS (SELECT FROM outbox.records WHERE key <> 'live')"
        await wait_until("every event to be taken", lambda: connection.fetchval(empty), 60)
    finally:
        stop.set()
        results = await asyncio.gather(*tasks)
    commits = results[1]
    backfilled = {key: times for key, times in relaying.taken.items() if key != b"live"}
    assert len(backfilled) == YARDS
    assert set(backfilled.values()) == {1}
    assert commits > 20, "writers went on meanwhile"
    assert BOUND < relaying.most <= BOUND + BATCH + commits, "it filled the outbox up to its bound and no further"


async def _at_least(connection: "asyncpg.Connection[Any]", rows: int) -> bool:
    return await done(connection) >= rows
