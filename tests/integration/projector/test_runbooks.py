"""The runbooks, tried as they are written: every `$ atlas …` line of them, in order, against a running projector."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from atlas_projector.routes import projection_routes
from atlas_projector.settings import ProjectorSettings
from atlas_projector.waiting.dead_letters import dead_letter_routes
from atlas_runtime.serving.probes import Health, serve_probes
from atlas_yards.projection import YARDS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

RUNBOOKS = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
# What these answer where there is nothing to cancel or to go back to; anything else has to succeed.
MAY_SAY = {"atlas rebuild yards --cancel": "no rebuild of yards is running"}


def commands(runbook: str) -> list[str]:
    """The `atlas` lines of its console blocks."""
    text = (RUNBOOKS / f"{runbook}.md").read_text().replace("bookings", "yards")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ atlas ")]


async def tried(url: str, command: str) -> str:
    """Run it as a shell would; what it printed. An error it may not answer with fails the test."""
    words = command.split()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_cli.main", *words[1:]),
        env={**os.environ, "ATLAS_PROJECTOR_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        assert command in MAY_SAY, f"{command}: {err.decode()}"
        assert MAY_SAY[command] in err.decode()
    return out.decode()


@pytest.fixture
async def url(rig: "Rig") -> AsyncIterator[str]:
    """A projector with the projection `yards`, two yards and somebody's record that waits."""
    yards = rig.pointed(YARDS)
    live = rig.live(yards)
    await rig.register("u1")
    await rig.register("u2")
    routes = projection_routes(rig.stores, {"yards": live}, rig.rebuilds(live))
    routes += dead_letter_routes(rig.by_name(), rig.codec)
    async with (
        rig.running(live),
        serve_probes(ProjectorSettings(http_port=0), Health("projector"), routes=routes) as port,
    ):
        await rig.settled(yards)
        yield f"http://127.0.0.1:{port}"


async def test_rebuild_a_projection(rig: "Rig", url: str) -> None:
    lines = commands("rebuild-a-projection")
    assert "atlas rebuild yards --verify" in lines
    said = {line: await tried(url, line) for line in lines}
    assert "identical to the generation before" in said["atlas rebuild yards --verify"]
    assert "1 rows" in said["atlas rebuild-into yards yards_looked_into --key u1"]
    assert await rig.pool.fetchval("SELECT live_generation FROM readmodel.projections WHERE name = 'yards'") == 3
    assert await rig.pool.fetchval("SELECT yard_id FROM readmodel.yards_looked_into") == "u1"


async def test_roll_back(rig: "Rig", url: str) -> None:
    await tried(url, "atlas rebuild yards")
    said = {line: await tried(url, line) for line in commands("roll-back")}
    assert "generation 1 again" in said["atlas rollback yards"]
    assert "generation 3 is live" in said["atlas rebuild yards"]
    assert [row["yard_id"] for row in await rig.rows(YARDS)] == ["u1", "u2"]
