"""What the chaos tests share: traffic beside the fault, and the proof that nothing was lost and nothing came twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from atlas_cli.commands.archive.segments import verify_topics
from atlas_cli.settings import CliSettings
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until

from tests.chaos.traffic import Traffic

UnderTraffic = Callable[[], AbstractAsyncContextManager[Traffic]]
ARCHIVED_WITHIN_S = 90
# To look reads all that is archived, on the cores that the archiver needs to get there.
LOOK_S = 1.0


@pytest.fixture
def under_traffic(mesh: TestMesh) -> UnderTraffic:
    """Writes while the body of `async with under_traffic()` breaks things, then proves what was acknowledged."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Traffic]:
        traffic, stop = Traffic(mesh), asyncio.Event()
        task = asyncio.create_task(traffic.run(stop))
        try:
            await wait_until("the traffic to flow", lambda: task.done() or (traffic.hauls and traffic.yards), 30)
            yield traffic
        finally:
            stop.set()
            async with asyncio.timeout(120):
                await task
        await traffic.prove_read_models()
        await _prove_archive(mesh)

    return run


async def _prove_archive(mesh: TestMesh) -> None:
    """The archive holds every record of the topics once, byte for byte."""
    settings = CliSettings.model_validate(_fields(mesh.env))

    async def complete() -> bool:
        reports = await verify_topics(settings, ["hauls.events", "yards.events"], quiet=True)
        if not all(report.records for report in reports):
            return False  # the first segments are still open
        problems = [problem for report in reports for problem in report.problems]
        assert not problems, problems
        return len(reports) == 2 and not any(report.behind for report in reports)

    await wait_until("the archive to hold every record of the topics", complete, ARCHIVED_WITHIN_S, LOOK_S)


def _fields(env: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("ATLAS_").lower(): value for name, value in env.items() if name.startswith("ATLAS_")}
