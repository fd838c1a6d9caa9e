"""docs/runbooks/a-loop-is-stuck.md, tried as written on a running mesh, in which nothing is stuck."""

import json
from typing import Any

import aiohttp
import pytest
from atlas_local.home import ROOT
from atlas_local.testing import TestMesh, requires
from atlas_local.waiting import wait_until

from tests.e2e.runbook import steps
from tests.e2e.test_runbook_outbox import Shell

pytestmark = pytest.mark.e2e

RUNBOOK = ROOT / "docs/runbooks/a-loop-is-stuck.md"
# At least these, of a mesh with any contexts.
LOOPS = {
    "gateway": {"purge keys"},
    "relay": {"lane 0", "leases"},
    "projector": {"yards"},
    "archiver": {"archive"},
    "health-aggregator": {"judge", "lag"},
}


async def test_it_works_as_written(mesh: TestMesh) -> None:
    requires("curl")
    loops, dependencies, over = [step.text for step in steps(RUNBOOK) if step.language == "sh"]
    shell = Shell(mesh)

    async def all_known() -> bool:
        known = by_service(json.loads(await shell.run("atlas health --json")))
        return all(names <= known.get(service, set()) for service, names in LOOPS.items())

    await wait_until("every loop has said what it does", all_known, 60)
    table = await shell.run(f"COLUMNS=80 {loops}")
    assert all(len(line) <= 80 for line in table.splitlines()), table
    assert "lane 0" in table
    assert "stuck" not in table
    assert json.loads(await shell.run(dependencies))["loops"]
    assert all(len(line) <= 80 for line in (await shell.run(f"COLUMNS=80 {over}")).splitlines())

    async with aiohttp.ClientSession() as client, client.get(mesh.url("gateway") + "/health/mesh") as answer:
        assert answer.status == 200
        at_the_gateway = by_service(await answer.json())
    assert all(names <= at_the_gateway[service] for service, names in LOOPS.items())


def by_service(found: dict[str, Any]) -> dict[str, set[str]]:
    """The loops of each service's living instances."""
    return {
        each["service"]: {
            loop["name"] for instance in each["instances"] if instance["alive"] for loop in instance["loops"]
        }
        for each in found["services"]
    }
