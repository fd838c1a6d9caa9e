import asyncio

import pytest
from atlas_local.supervising import unit as unit_module
from atlas_local.supervising.unit import State, Unit
from atlas_local.topology import Kind, Part
from atlas_local.waiting import wait_until

SERVER = Part("server", Kind.SERVER)
STEP = Part("step", Kind.STEP)


@pytest.fixture
async def supervised(standins, tmp_path):
    """A unit with its loop running, and its stand-in."""
    changes: list[State] = []
    unit = Unit(SERVER, tmp_path / "server.log", lambda: changes.append(unit.state))
    component = standins.add("server")
    task = asyncio.create_task(unit.run_process(component, lambda: None))
    unit.changes = changes  # type: ignore[attr-defined]
    yield unit, component
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), task.exception()
    if unit.runner is not None:
        await unit.runner.stop()


async def settle(unit: Unit, *states: State) -> None:
    async with asyncio.timeout(10):
        await unit.settle(*states)


async def test_it_runs_when_asked_and_not_before(supervised):
    unit, _ = supervised
    await asyncio.sleep(0)
    assert unit.state is State.OFF
    unit.ask(True)
    await settle(unit, State.READY)
    assert unit.usable.is_set()
    assert unit.as_dict()["pid"] == unit.runner.process.pid


async def test_a_crash_is_shown_and_followed_by_a_restart(supervised):
    unit, _ = supervised
    unit.ask(True)
    await settle(unit, State.READY)
    first = unit.runner.process.pid
    unit.runner.process.kill()
    await settle(unit, State.BACKOFF)
    shown = unit.as_dict()
    assert (shown["restarts"], shown["last_exit"], shown["detail"]) == (1, -9, "ended with exit code -9")
    assert 0 < shown["retry_in_s"] <= 0.5
    assert not unit.usable.is_set()
    await settle(unit, State.READY)
    assert unit.runner.process.pid != first


async def test_what_runs_and_says_that_it_is_not_well_is_not_killed(supervised):
    unit, component = supervised
    component.ready_s, component.unwell = 1.0, True
    unit.ask(True)
    await wait_until("a failure", lambda: unit.as_dict()["failures"] >= 2)
    shown, process = unit.as_dict(), unit.runner.process.pid
    assert (shown["state"], shown["restarts"], shown["pid"]) == (State.STARTING, 0, process)
    assert "one of its parts is refused" in shown["trouble"]
    component.unwell = False
    await settle(unit, State.READY)
    assert (unit.runner.process.pid, component.prepared, unit.as_dict()["trouble"]) == (process, 1, "")


async def test_what_is_not_well_is_still_started_again_when_it_ends(supervised):
    unit, component = supervised
    well_in_s, component.ready_s, component.unwell = component.ready_s, 0.5, True
    unit.ask(True)
    # A busy machine may not even start it in that time; then it is started anew.
    await wait_until("it to run and not be well", lambda: "is refused" in unit.as_dict()["trouble"], 30)
    first, component.unwell = unit.runner.process.pid, False
    component.ready_s = well_in_s
    unit.runner.process.kill()
    await settle(unit, State.READY)
    assert unit.runner.process.pid != first


async def test_waits_double_while_it_keeps_crashing(supervised, monkeypatch):
    monkeypatch.setattr("atlas_errors.backoff.random.uniform", lambda _least, most: most)
    unit, component = supervised
    component.code = "raise SystemExit(3)"
    waits = []
    unit.ask(True)
    for failures in (1, 2, 3):
        await wait_until(f"{failures} failures", lambda n=failures: unit.as_dict()["failures"] == n, 15)
        waits.append(unit.as_dict()["retry_in_s"])
    assert waits == pytest.approx([0.5, 1.0, 2.0], abs=0.2)
    assert unit.as_dict()["last_exit"] == 3
    assert unit.as_dict()["restarts"] == 0  # it never was up


async def test_what_failed_for_days_is_still_started_again(supervised):
    """Each failure doubles the wait only up to its most: 2 to the power of them is a number that no float holds."""
    unit, component = supervised
    component.code = "raise SystemExit(3)"
    unit._failures = 5_000
    unit.wanted = True
    unit._poke.set()
    await settle(unit, State.BACKOFF)
    shown = unit.as_dict()
    assert (shown["failures"], 7 <= shown["retry_in_s"] <= 30) == (5_001, True)


async def test_a_long_run_forgives_earlier_crashes(supervised, monkeypatch):
    unit, component = supervised
    component.code = "raise SystemExit(3)"
    unit.ask(True)
    await wait_until("two failures", lambda: unit.as_dict()["failures"] == 2, 10)
    component.code = type(component).code
    await settle(unit, State.READY)
    monkeypatch.setattr(unit_module, "_STEADY_S", 0.0)
    unit.runner.process.kill()
    await settle(unit, State.BACKOFF)
    assert unit.as_dict()["failures"] == 1


async def test_a_request_ends_the_back_off(supervised, monkeypatch):
    monkeypatch.setattr(unit_module, "_BACKOFF_FIRST_S", 600.0)
    unit, component = supervised
    component.code = "raise SystemExit(3)"
    unit.ask(True)
    await settle(unit, State.BACKOFF)
    component.code = type(component).code
    unit.ask(True)
    await settle(unit, State.READY)


async def test_stopped_by_request_it_stays_stopped(supervised):
    unit, component = supervised
    unit.ask(True)
    await settle(unit, State.READY)
    unit.ask(False)
    await settle(unit, State.STOPPED)
    assert not unit.runner.running
    assert unit.as_dict()["restarts"] == 0
    unit.ask(True)
    await settle(unit, State.READY)
    assert component.prepared == 2


async def test_a_stop_while_it_starts_is_obeyed(supervised):
    unit, component = supervised
    component.code = "import time; time.sleep(60)"
    unit.ask(True)
    await wait_until("it is starting", lambda: unit.runner is not None and unit.runner.running, 5)
    unit.ask(False)
    await settle(unit, State.STOPPED)
    assert not unit.runner.running


async def test_ports_are_checked_until_the_first_success_only(standins, tmp_path):
    checks = []
    unit = Unit(SERVER, tmp_path / "server.log", lambda: None)
    task = asyncio.create_task(unit.run_process(standins.add("server"), lambda: checks.append(1)))
    unit.ask(True)
    await settle(unit, State.READY)
    unit.runner.process.kill()
    await settle(unit, State.BACKOFF)
    await settle(unit, State.READY)
    assert len(checks) == 1
    task.cancel()
    await asyncio.wait([task])
    await unit.runner.stop()


async def test_a_step_is_tried_until_it_succeeds(tmp_path):
    tries = []

    async def step() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise ConnectionError("refused")
        return "3 topics"

    changes = []
    unit = Unit(STEP, tmp_path / "step.log", lambda: changes.append((unit.state, unit.detail)))
    task = asyncio.create_task(unit.run_step(step))
    unit.ask(True)
    await settle(unit, State.DONE)
    assert (State.BACKOFF, "ConnectionError: refused") in changes
    assert unit.detail == "3 topics"
    unit.ask(False)
    await settle(unit, State.STOPPED)
    unit.ask(True)
    await settle(unit, State.DONE)
    assert len(tries) == 3
    task.cancel()
    await asyncio.wait([task])


async def test_one_that_starts_shows_what_it_waits_for(supervised):
    """Else `atlas up` says nothing for as long as a service answers 503."""
    unit, component = supervised
    component.unwell, component.ready_s = True, 30.0
    unit.ask(True)
    await wait_until("what it lacks is shown", lambda: unit.detail == "one of its parts is refused", 10)
    assert unit.as_dict()["state"] == State.STARTING
    component.unwell = False
    await settle(unit, State.READY)
    assert not unit.detail
