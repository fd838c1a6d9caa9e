"""What is known of one service: stuck loops, and changes that come and go."""

from typing import Any

from atlas_health_aggregator.judging.services import CALM_S, FLAPS, Change, State

from tests.unit.health_aggregator.judging.test_liveness import INTERVAL_S, World


def loop(*, stuck: bool, since_ms: int = 12_000) -> dict[str, Any]:
    return {
        "name": "lane 0", "doing": "send rows", "waits": False, "since_ms": since_ms, "progress_ms": 12_500,
        "stuck": stuck,
    }  # fmt: skip


def beat(world: World, seconds: float, **fields: Any) -> list[Change]:
    """The relay says this at each interval; what changed."""
    found: list[Change] = []
    for _ in range(round(seconds / INTERVAL_S)):
        world.heartbeat("relay", **fields)
        found += world.run(INTERVAL_S)
    return found


def test_alive_without_progress_is_degraded_and_says_why() -> None:
    world = World()
    assert [change.current for change in beat(world, 4, loops=[loop(stuck=False)])] == [State.UP]
    (change,) = beat(world, 2, loops=[loop(stuck=True)])
    assert (change.current, change.reason) == (State.DEGRADED, "relay-1: lane 0 is stuck: send rows for 12 s")
    (instance,) = world.view("relay")["instances"]
    assert instance["loops"][0] == {
        "name": "lane 0", "doing": "send rows", "waits": False, "since_s": 12.0, "progress_s": 12.5, "stuck": True
    }  # fmt: skip
    (change,) = beat(world, 2, loops=[loop(stuck=False)])
    assert change.current is State.UP


def test_who_comes_and_goes_is_told_of_again_only_once_it_holds() -> None:
    world = World()
    told = []
    for _ in range(40):
        told += beat(world, 2, state="READY") + beat(world, 2, state="NOT_READY")
    assert len(told) == FLAPS - 1
    assert world.view("relay")["flapping"]
    calm = beat(world, CALM_S - 3, state="READY")
    assert calm == []
    later = beat(world, 60, state="READY")
    assert (world.state("relay"), [*told, *later][-1].current) == ("UP", State.UP)
    assert not world.view("relay")["flapping"]


def test_a_service_that_dies_after_a_quiet_time_is_told_at_once() -> None:
    world = World()
    for _ in range(3):
        beat(world, 2, state="READY")
        beat(world, 2, state="NOT_READY")
    beat(world, 90, state="READY")
    assert [change.current for change in world.run(8)] == [State.DOWN]


def test_who_takes_over_tells_what_differs_from_what_was_told() -> None:
    world = World()
    beat(world, 4)
    world.mesh.adopt([Change("relay", State.UP, State.DOWN, "", 0, 1_700_000_000_000)])
    (change,) = beat(world, 2)
    assert (change.previous, change.current) == (State.DOWN, State.UP)
    world.mesh.adopt([change])
    assert beat(world, 4) == []
    world.mesh.adopt([])
    assert [each.previous for each in beat(world, 2)] == [State.UNKNOWN]
