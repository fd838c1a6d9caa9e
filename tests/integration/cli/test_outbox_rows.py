"""`atlas outbox` while no relay answers: what choked it is seen, sent again and discarded at the database itself."""

import asyncio
import json
import os
import sys
from typing import Any

import asyncpg
import pytest

pytestmark = pytest.mark.integration

_PARKED = """
INSERT INTO outbox.parked (id, created_at, key_hash, shard, topic, key, value, headers, error)
SELECT n, now(), 7, 3, 'yards.events', $2, '\\x31', '\\x00', CASE n WHEN 1 THEN 'it was refused' END
FROM generate_series(1, $1::int) AS n
"""


async def _atlas(dsn: str, *command: str) -> tuple[int, str, str]:
    env = {**os.environ, "ATLAS_RELAY_URL": "http://127.0.0.1:1", "ATLAS_POSTGRES_DSN": dsn}
    atlas = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_cli.main", "outbox", *command),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await atlas.communicate()
    assert atlas.returncode is not None
    return atlas.returncode, out.decode(), errors.decode()


async def _json(dsn: str, *command: str) -> Any:
    code, out, errors = await _atlas(dsn, *command, "--json")
    assert code == 0, errors
    assert "the relay does not answer" in errors
    return json.loads(out)


async def test_rows_are_seen_and_sent_on_without_a_relay(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(_PARKED, 5000, b"k\xff[/red]")
        (row,) = await _json(database, "parked")
        assert (row["id"], row["error"], row["key_base64"]) == (1, "it was refused", "a/9bL3JlZF0=")
        assert len(await _json(database, "parked", "--waiting", "-n", "1000")) == 1000
        assert (await _json(database, "status"))["parked_rows"] == 5000
        assert await _json(database, "discard", "1", "--yes") == {"discarded": 1}
        assert await connection.fetchval("SELECT count(*) FROM outbox.records") == 4999
        await connection.execute("DELETE FROM outbox.records")
        await connection.execute(_PARKED, 5000, b"other")
        assert await _json(database, "retry", "--all") == {"retried": 5000}
        assert await connection.fetchval("SELECT count(*) FROM outbox.parked") == 0
    finally:
        await connection.close()


async def test_where_neither_answers_it_is_one_line() -> None:
    code, out, errors = await _atlas("postgresql://nobody@127.0.0.1:1/none", "parked")
    assert (code, out) == (1, "")
    assert errors.strip().splitlines()[-1].startswith("atlas: neither the relay nor its database answers")
    assert "Traceback" not in errors
