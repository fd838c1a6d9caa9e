"""What the relay shows of the outbox at /metrics, which the alerts are about."""

import asyncio

import asyncpg
import pytest
from atlas_local.waiting import wait_until
from atlas_relay.watch import publish_stats
from prometheus_client import REGISTRY

pytestmark = pytest.mark.integration

MAKE_OLD = "UPDATE outbox.records SET created_at = now() - interval '90 s' WHERE id = $1"
PARK_ONE = """
WITH parked AS (DELETE FROM outbox.records WHERE id = $1 RETURNING *)
INSERT INTO outbox.parked (id, created_at, key_hash, shard, topic, key, value, headers, error)
SELECT id, created_at, key_hash, shard, topic, key, value, headers, 'unknown topic' FROM parked
"""


def shown() -> tuple[float | None, float | None]:
    """Rows that wait, and rows that are parked."""
    return tuple(REGISTRY.get_sample_value(f"atlas_outbox_{name}_rows") for name in ("backlog", "parked"))


async def test_backlog_age_and_parked_rows_are_shown_as_they_are_and_as_they_become(outbox, monkeypatch):
    monkeypatch.setattr("atlas_relay.watch._STATS_EVERY_S", 0.05)
    ids, stop = await outbox.commit(("a", 1), ("b", 1), ("c", 1), ("d", 1)), asyncio.Event()
    await outbox.connection.execute(
        "UPDATE outbox.records SET created_at = now() - interval '90 s' WHERE id = $1", ids[1]
    )
    await outbox.connection.execute(PARK_ONE, ids[0])
    async with asyncpg.create_pool(outbox.dsn, min_size=0, max_size=1) as pool:
        publishing = asyncio.create_task(publish_stats(pool, stop))
        await wait_until("three rows and a parked one", lambda: shown() == (3, 1))
        assert 90 <= REGISTRY.get_sample_value("atlas_outbox_oldest_row_seconds") < 120
        assert REGISTRY.get_sample_value("atlas_outbox_table_bytes") > 0
        await outbox.connection.execute("DELETE FROM outbox.records; DELETE FROM outbox.parked")
        await wait_until("none of either", lambda: shown() == (0, 0))
        assert REGISTRY.get_sample_value("atlas_outbox_oldest_row_seconds") == 0
        stop.set()
        await publishing
