"""docs/runbooks/a-record-is-unaccounted-for.md, tried as written on a running mesh; and what the aggregator shows."""

import json
import uuid
from typing import Any

import aiohttp
import asyncpg
import pytest
from atlas_local.home import ROOT
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until

from tests.e2e.runbook import steps
from tests.e2e.test_runbook_outbox import Shell

pytestmark = pytest.mark.e2e

RUNBOOK = ROOT / "docs/runbooks/a-record-is-unaccounted-for.md"
TOPIC = "yards.events"
GROUP = "projector.yards"


async def test_it_works_as_written(mesh: TestMesh) -> None:
    look, verify, over = [step.text for step in steps(RUNBOOK) if step.language == "sh"]
    shell = Shell(mesh)
    async with aiohttp.ClientSession() as client:
        for number in range(5):
            body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": f"Yard {number}"}
            key = {"Idempotency-Key": uuid.uuid4().hex}
            async with client.post(mesh.url("gateway") + "/yards", json=body, headers=key) as response:
                assert response.status < 300, await response.text()

    async def balanced() -> bool:
        lines = json.loads(await shell.run(f"atlas ledger --json --topic {TOPIC}"))["lines"]
        left = {line["group"]: line["in_flight"] + line["unproven"] + line["unaccounted"] for line in lines}
        return {GROUP, "archiver"} <= left.keys() and not sum(left.values())

    await wait_until("every record is archived, projected and proven", balanced, 60)
    table = await shell.run(f"COLUMNS=80 {look}")
    assert all(len(line) <= 80 for line in table.splitlines()), table
    assert "unaccounted" in table
    assert await shell.run(verify, TOPIC=TOPIC)

    # What no code does: a count that is short of a record.
    connection = await asyncpg.connect(mesh.dsn)
    taken = "UPDATE readmodel.positions SET events = events + $1 WHERE projection = 'yards' AND next_offset > 0"
    try:
        await connection.execute(taken, -1)
        with pytest.raises(AssertionError, match="never reached it"):
            await shell.run(look)

        async def told() -> bool:
            return bool((await of_aggregator(mesh))["unaccounted"])

        await wait_until("the aggregator has it too", told, 60)
        async with aiohttp.ClientSession() as client, client.get(mesh.url("health-aggregator") + "/metrics") as answer:
            metrics = await answer.text()
        wrong = [line for line in metrics.splitlines() if line.startswith("atlas_ledger_unaccounted_records{")]
        assert any(f'group="{GROUP}"' in line and not line.endswith(" 0.0") for line in wrong), wrong
    finally:
        await connection.execute(taken, 1)
        await connection.close()
    assert "unaccounted" in await shell.run(over)


async def of_aggregator(mesh: TestMesh) -> dict[str, Any]:
    async with aiohttp.ClientSession() as client, client.get(mesh.url("health-aggregator") + "/ledger") as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found
