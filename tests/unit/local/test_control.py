import asyncio
import stat

import pytest
from atlas_local.control import NotRunning, Refused, request, serve
from atlas_local.home import Home
from atlas_local.supervisor import Supervisor
from atlas_local.topology import Kind, Part

from .conftest import StandinMesh


@pytest.fixture
async def served(standins, background):
    """A supervisor of one part behind its door."""
    standins.add("store")
    supervisor, stop = Supervisor(standins, (Part("store", Kind.SERVER),)), asyncio.Event()
    async with serve(supervisor, stop), background(supervisor.run((), stop), stop):
        yield standins.home, stop


async def test_requests_reach_the_supervisor(served):
    home, _ = served
    assert (await request(home, "start", name="store"))["state"] == "ready"
    assert (await request(home, "stop", name="store"))["state"] == "stopped"
    [part] = (await request(home, "want", names=[]))["parts"]
    assert part["name"] == "store"
    assert (await request(home, "start", name="store"))["state"] == "ready"
    assert (await request(home, "kill", name="store"))["pid"]
    assert (await request(home, "status", probe=True))["supervisor"]["pid"]


async def test_an_unknown_part_is_refused_with_a_reason(served):
    home, _ = served
    for do in ("start", "stop", "kill"):
        with pytest.raises(Refused, match="no part of the mesh is named x"):
            await request(home, do, name="x")


async def test_down_sets_stop(served):
    home, stop = served
    await request(home, "down")
    assert stop.is_set()


async def test_only_the_owner_reaches_the_socket(served):
    home, _ = served
    assert stat.S_IMODE(home.socket.stat().st_mode) == 0o600


async def test_no_supervisor_no_answer(tmp_path):
    with pytest.raises(NotRunning):
        await request(Home(tmp_path), "status")
    with pytest.raises(NotRunning):
        await request(Home(tmp_path / "never made" / ("x" * 100)), "status")


async def test_a_home_may_lie_deeper_than_a_socket_path_is_long(tmp_path, background):
    home = Home(tmp_path / ("deep" * 20) / ("deeper" * 20))
    standins, stop = StandinMesh(home), asyncio.Event()
    standins.add("store")
    supervisor = Supervisor(standins, (Part("store", Kind.SERVER),))
    assert len(str(home.socket)) > 108
    async with serve(supervisor, stop), background(supervisor.run((), stop), stop):
        assert (await request(home, "start", name="store"))["state"] == "ready"
