"""Rebuilds over HTTP, by hand and as `atlas rebuild` drives them."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from atlas_cli.read_models import rebuilding
from atlas_cli.settings import CliSettings
from atlas_cli.terminal.output import CommandError
from atlas_local.waiting import wait_until
from atlas_projector.routes import projection_routes
from atlas_projector.settings import ProjectorSettings
from atlas_runtime.serving.probes import Health, serve_probes
from atlas_yards.projection import YARDS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration


@pytest.fixture
async def url(rig: "Rig") -> AsyncIterator[str]:
    """A projector's HTTP side, its projection `yards` with one row on the topic and in the view."""
    yards = rig.pointed(YARDS)
    live = rig.live(yards)
    await rig.register("u1")
    routes = projection_routes(rig.stores, {"yards": live}, rig.rebuilds(live))
    async with (
        rig.running(live),
        serve_probes(ProjectorSettings(http_port=0), Health("projector"), routes=routes) as port,
    ):
        await rig.settled(yards)
        yield f"http://127.0.0.1:{port}"


async def call(method: str, url: str, **headers: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as response:
        return response.status, orjson.loads(await response.read())


async def test_the_state_comes_from_the_loop(url: str) -> None:
    status, body = await call("GET", f"{url}/projections")
    (entry,) = body["projections"]
    assert (status, entry["name"], entry["state"], entry["generation"]) == (200, "yards", "running", 1)
    assert entry["generations"][0] | {"created_at": 0, "live_since": 0} == {
        "projection": "yards",
        "generation": 1,
        "version": 1,
        "state": "live",
        "created_at": 0,
        "live_since": 0,
        "events": 1,
    }


async def test_started_followed_and_rolled_back(url: str) -> None:
    status, body = await call("POST", f"{url}/projections/yards/rebuild?verify=true")
    assert (status, body["state"]) == (202, "running")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/projections/yards/rebuild", headers={"Accept": "text/event-stream"}) as stream,
    ):
        events = [orjson.loads(line[6:]) async for line in stream.content if line.startswith(b"data: ")]
    assert events[-1]["state"] == "done"
    assert events[-1]["result"]["identical"] is True
    status, body = await call("GET", f"{url}/projections/yards/rebuild")
    assert (status, body["result"]["to_generation"]) == (200, 2)
    assert await call("POST", f"{url}/projections/yards/rollback") == (
        200,
        {"projection": "yards", "generation": 1, "version": 1},
    )


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "nobody/rebuild", 404),
        ("GET", "nobody/rebuild", 404),
        ("GET", "yards/rebuild", 404),
        ("DELETE", "yards/rebuild", 409),
        ("POST", "yards/rollback", 409),
    ],
)
async def test_what_can_not_be_done_is_said(url: str, method: str, path: str, expected: int) -> None:
    status, body = await call(method, f"{url}/projections/{path}")
    assert (status, body["status"]) == (expected, expected)
    assert "yards" in body["title"] or "nobody" in body["title"]


async def test_two_at_once_are_refused_and_one_can_be_cancelled(url: str, rig: "Rig") -> None:
    async with rig.pool.acquire() as other, other.transaction():
        # Nobody can change the projection's generations while this is held, so the rebuild waits.
        await other.execute("SELECT FROM readmodel.projections FOR UPDATE")
        assert (await call("POST", f"{url}/projections/yards/rebuild"))[0] == 202
        assert (await call("POST", f"{url}/projections/yards/rebuild"))[0] == 409
        assert (await call("POST", f"{url}/projections/yards/rollback"))[0] == 409
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        await wait_until("the rebuild to wait", lambda: rig.pool.fetchval(waiting))
        status, body = await call("DELETE", f"{url}/projections/yards/rebuild")
        assert (status, body["state"]) == (200, "cancelled")
    settings = CliSettings(projector_url=url)
    assert (await rebuilding.rebuild(settings, "yards"))["rows"] == 1


async def test_the_command_follows_to_the_end(url: str) -> None:
    seen: list[dict[str, Any]] = []
    settings = CliSettings(projector_url=url)
    result = await rebuilding.rebuild(settings, "yards", verify=True, on_progress=seen.append)
    assert (result["identical"], result["rows"], result["events"]) == (True, 1, 1)
    assert seen[-1]["state"] == "done"


async def test_the_command_gives_the_rows_that_differ(url: str, rig: "Rig") -> None:
    await rig.pool.execute("UPDATE readmodel.yards_g1 SET email = 'other'")
    result = await rebuilding.rebuild(CliSettings(projector_url=url), "yards", verify=True)
    assert (result["identical"], result["different_rows"]) == (False, 1)


async def test_the_command_says_what_is_wrong(url: str, rig: "Rig") -> None:
    with pytest.raises(CommandError, match="no projection nobody; there are yards"):
        await rebuilding.rebuild(CliSettings(projector_url=url), "nobody")
    with pytest.raises(CommandError, match="does not answer"):
        await rebuilding.ask(CliSettings(projector_url="http://127.0.0.1:1"), "GET", "/projections", Any)
    await rig.send_raw(b"garbage", key="u1", partition=0)
    await rig.settled(rig.pointed(YARDS))
    await rig.pool.execute("DELETE FROM readmodel.dead_letters")
    with pytest.raises(CommandError, match=r"failed: .* can't be handled"):
        await rebuilding.rebuild(CliSettings(projector_url=url), "yards")
