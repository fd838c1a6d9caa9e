"""Processes that die of a record, by a signal or by standing still: the next ones get past it."""

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
from atlas_readmodel.waiting.parking import Decision, State
from atlas_yards.projection import YARDS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

# For each record: the first death, one over some records together, two over it alone; and some on the way there.
DEATHS_MAX = 12


async def test_a_record_that_ends_the_process_is_set_aside_unread(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    for n in range(150):
        await rig.register(f"u{n}", email={70: "segv", 120: "loop"}.get(n, "fine"), partition=0)
    deaths = 0
    command = [sys.executable, "-m", "tests.integration.projector.dying"]
    command += [rig.servers.kafka_brokers, rig.dsn, rig.servers.redis_url, rig.topic]
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )
        ended = asyncio.create_task(process.wait())
        while await rig.positions(yards) != await rig.ends() and not ended.done():
            await asyncio.wait({ended}, timeout=0.3)
        if not ended.done():
            process.terminate()
            assert await ended == 0
            break
        deaths += 1
        assert deaths <= DEATHS_MAX
    assert deaths >= 6
    assert {row["yard_id"] for row in await rig.rows(yards)} == {f"u{n}" for n in range(150)} - {"u70", "u120"}
    waits = await rig.waiting(yards)
    assert [(record.offset, record.state) for record in waits] == [(70, State.DEAD), (120, State.DEAD)]
    assert all("it is not read: the process died" in (record.error or "") for record in waits)
    store = rig.stores.of(yards.model)
    assert await store.ruling((rig.topic, 0, 70)) is Decision.UNREAD
    # All else is as if nothing had been: no mark is left, and who comes next has no reason for any.
    assert await rig.pool.fetchval("SELECT count(*) FROM readmodel.failures") == 0
    assert await rig.pool.fetchval("SELECT count(*) FROM readmodel.positions WHERE reader IS NOT NULL") == 0
