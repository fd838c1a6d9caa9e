"""Rebuilds as a running projector does them: one it is asked for, one of a new version, one that fails."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from atlas_hauls.projections.routes import ROUTES
from atlas_projection.projection import Projection, Value
from atlas_projector.live import OtherVersion
from atlas_yards.projection import YARDS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig
Kept = Callable[[Projection], Projection]

pytestmark = pytest.mark.integration


async def test_rolled_back_and_caught_up(rig: "Rig", kept: Kept) -> None:
    routes = rig.pointed(kept(ROUTES))
    live = rig.live(routes)
    rebuilds = rig.rebuilds(live)
    async with rig.running(live):
        await rig.fly(100)
        await rig.settled(routes)
        rebuilds.start("routes")
        await rebuilds.wait("routes")
        await rig.fly(100, 100)
        await rig.settled(routes)
        assert (await rebuilds.rollback("routes")).number == 1
        await rig.settled(routes)
        assert live.state()["generation"] == 1
    assert sum(row["hauls"] for row in await rig.rows(routes)) == 200
    assert await rig.rows(routes, 1) == await rig.rows(routes, 2)


def renamed(row: Any, event: Value, meta: Any) -> Any:
    result = YARDS.handlers["yards.YardRegistered"](row, event, meta)
    return None if result is None else result | {"display_name": event["display_name"].lower()}


async def test_a_new_version_builds_its_generation_by_itself(rig: "Rig", kept: Kept) -> None:
    """The deploy of a new version: readers keep the old rows until the new ones are there."""
    yards = rig.pointed(kept(YARDS))
    await rig.register("u1")
    await rig.projected(yards)
    newer = replace(yards, version=2, handlers={**yards.handlers, "yards.YardRegistered": renamed})
    live = rig.live(newer)
    with pytest.raises(OtherVersion, match="version 1"):
        async with rig.running(live) as loop:
            await loop
    rebuilds = rig.rebuilds(live)
    assert await rebuilds.upgrade("yards", asyncio.Event())
    async with rig.running(live):
        await rig.register("u2")
        await rig.settled(newer)
    assert [row["display_name"] for row in await rig.rows(newer)] == ["a", "a"]
    # Rolled back on purpose, it is not built again behind the operator's back.
    await rebuilds.rollback("yards")
    assert not await rebuilds.upgrade("yards", asyncio.Event())
    assert await rig.live_generation(yards) == 1


async def test_a_failure_is_shown_and_harms_nothing_else(rig: "Rig") -> None:
    def broken(_row: Any, _event: Value, _meta: Any) -> Any:
        raise ZeroDivisionError("of all things")

    yards = rig.pointed(YARDS)
    await rig.register("u1")
    await rig.projected(yards)
    rebuilds = rig.rebuilds(rig.live(replace(yards, handlers=dict.fromkeys(yards.handlers, broken))))
    rebuilds.start("yards", verify=True)
    state: Mapping[str, Any] = await rebuilds.wait("yards") or {}
    assert (state["state"], state["result"]) == ("failed", None)
    assert "ZeroDivisionError: of all things" in state["error"]
    assert len(await rig.rows(yards)) == 1
    again = rig.rebuilds(rig.live(yards))
    again.start("yards", verify=True, fresh=True)
    state = await again.wait("yards") or {}
    assert state["state"] == "done"
    assert state["result"] | {"seconds": 0} == {
        "projection": "yards",
        "from_generation": 1,
        "to_generation": 3,
        "rows": 1,
        "identical": True,
        "different_rows": 0,
        "events": 1,
        "passed_over": 0,
        "seconds": 0,
    }
