import asyncio
import sys

import pytest
from atlas_local.supervising import unit as unit_module
from atlas_local.supervising.processes import Command, Identity, Process
from atlas_local.supervising.supervisor import Supervisor, reap_children
from atlas_local.supervising.unit import State
from atlas_local.topology import Kind, Part, UnknownPart
from atlas_local.waiting import wait_until

PARTS = (
    Part("store", Kind.SERVER),
    Part("tables", Kind.STEP, ("store",)),
    Part("reader", Kind.SERVICE, ("tables",)),
    Part("writer", Kind.SERVICE, ("tables",)),
)


@pytest.fixture
def supervisor(standins):
    async def tables() -> str:
        standins.order.append("tables")
        return "2 tables"

    for name in ("store", "reader", "writer"):
        standins.add(name)
    standins.steps["tables"] = tables
    return Supervisor(standins, PARTS)


def states(supervisor: Supervisor) -> dict[str, str]:
    return {name: str(unit.state) for name, unit in supervisor.units.items()}


async def until_ready(supervisor: Supervisor) -> None:
    await wait_until(
        "everything is ready",
        lambda: all(unit.state in (State.READY, State.DONE) for unit in supervisor.units.values()),
        15,
    )


async def test_parts_start_after_what_they_need(supervisor, standins, background):
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        await until_ready(supervisor)
        assert standins.order[:2] == ["store", "tables"]
        assert sorted(standins.order[2:]) == ["reader", "writer"]


async def test_only_what_is_wanted_and_needed_starts(supervisor, background):
    stop = asyncio.Event()
    async with background(supervisor.run(("tables",), stop), stop):
        await wait_until("the step is done", lambda: supervisor.units["tables"].state is State.DONE, 10)
        assert states(supervisor) == {"store": "ready", "tables": "done", "reader": "off", "writer": "off"}
        supervisor.want(("reader",))
        await wait_until("the reader is ready", lambda: supervisor.units["reader"].state is State.READY, 10)
        assert supervisor.units["writer"].state is State.OFF


async def test_at_the_end_no_process_is_left_and_services_go_first(supervisor, standins, background):
    stop, ended = asyncio.Event(), []
    async with background(supervisor.run((), stop), stop):
        await until_ready(supervisor)
        identities = [unit.runner.process.identity for unit in supervisor.units.values() if unit.runner]
        supervisor.on_change = lambda: ended.extend(
            name
            for name, unit in supervisor.units.items()
            if unit.runner and not unit.runner.running and name not in ended
        )
    assert len(identities) == 3
    assert not any(identity.alive for identity in identities)
    assert ended[-1] == "store"
    assert supervisor.status()["parts"][0]["state"] == "stopped"


async def test_stop_start_and_kill_of_one_part(supervisor, background):
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        await until_ready(supervisor)
        assert (await supervisor.stop("reader"))["state"] == "stopped"
        assert supervisor.units["writer"].state is State.READY
        assert (await supervisor.start("reader"))["state"] == "ready"
        before = supervisor.kill("reader")
        assert before["restarts"] == 0
        await wait_until("it was restarted", lambda: supervisor.units["reader"].restarts == 1, 10)
        await until_ready(supervisor)
        with pytest.raises(UnknownPart, match="riter; there are store"):
            await supervisor.start("riter")


async def test_a_start_that_fails_says_so(supervisor, standins, background):
    standins.components["reader"].code = "print('bad setting'); raise SystemExit(2)"
    stop = asyncio.Event()
    async with background(supervisor.run(("writer",), stop), stop):
        await wait_until("the writer is ready", lambda: supervisor.units["writer"].state is State.READY, 10)
        reply = await supervisor.start("reader")
        assert reply["state"] == "back-off"
        assert "bad setting" in reply["detail"]


async def test_a_part_that_runs_but_does_not_answer_is_shown(supervisor, standins, background):
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        await until_ready(supervisor)
        standins.components["reader"].flag.unlink()
        status = await supervisor.probed_status()
        parts = {part["name"]: part for part in status["parts"]}
        assert (parts["reader"]["state"], parts["reader"]["detail"]) == ("not ready", "no file yet")
        assert parts["writer"]["state"] == "ready"


async def test_an_outside_server_is_nobody_s_child(supervisor, standins, background):
    del standins.components["store"]
    standins.outside["store"] = "db.example:5432"
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        await wait_until("the reader is ready", lambda: supervisor.units["reader"].state is State.READY, 10)
        assert supervisor.units["store"].state is State.OUTSIDE
        assert standins.order[0] == "tables"


async def test_what_a_killed_supervisor_left_is_ended(standins, tmp_path):
    command = Command(argv=[sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    left = Process.spawn(command, standins.home.log("store"))
    others = Process.spawn(command, tmp_path / "another home" / "logs" / "store.log")
    standins.home.write_state({"parts": [{"pid": others.pid, "started": others.identity.started}]})  # not believed
    assert await reap_children(standins.home) == 1
    assert left.exit_code is not None
    assert Identity.of(left.pid) is None
    assert others.identity.alive
    await others.stop()


async def test_a_defect_of_one_part_is_shown_and_ends_no_other(supervisor, standins, monkeypatch, background, capsys):
    async def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(standins.components["reader"], "prepare", broken)
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        await wait_until("the reader fails", lambda: supervisor.units["reader"].state is State.BACKOFF, 10)
        await wait_until("the writer is ready", lambda: supervisor.units["writer"].state is State.READY, 10)
        assert "RuntimeError: a defect" in supervisor.units["reader"].as_dict()["trouble"]
    assert "Traceback" in capsys.readouterr().err


async def test_a_defect_in_the_supervisor_is_not_lost(supervisor, monkeypatch):
    async def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(supervisor, "_rotate_logs", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        await asyncio.wait_for(supervisor.run((), asyncio.Event()), 10)


async def test_a_part_that_is_not_installed_is_absent_and_nobody_waits_for_it(supervisor, standins, background):
    del standins.components["writer"]
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        await wait_until("it is known", lambda: supervisor.units["writer"].state is State.ABSENT, 5)
        async with asyncio.timeout(5):
            assert (await supervisor.start("writer"))["state"] == "absent"
            assert (await supervisor.stop("writer"))["state"] == "absent"


async def test_to_be_asked_again_ends_a_back_off_and_forgives_but_disturbs_no_start(
    supervisor, standins, background, monkeypatch
):
    monkeypatch.setattr(unit_module, "_BACKOFF_FIRST_S", 600.0)  # by itself it would not start again in time
    reader = standins.components["reader"]
    reader.code = "raise SystemExit(3)"
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        unit = supervisor.units["reader"]
        await wait_until("it waits after a failure", lambda: unit.state is State.BACKOFF, 15)
        assert unit.as_dict()["failures"] == 1
        assert "exit code 3" in unit.as_dict()["trouble"]
        # Mended, but slow: asked a second time while it starts, it goes on starting.
        reader.code = "import pathlib, sys, time; time.sleep(0.5); pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
        supervisor.want(())
        assert unit.as_dict()["failures"] == 0
        await wait_until("it starts", lambda: unit.state is State.STARTING and unit.as_dict()["pid"], 5)
        pid = unit.as_dict()["pid"]
        supervisor.want(())
        await wait_until("it is ready", lambda: unit.state is State.READY, 10)
        assert (unit.as_dict()["pid"], unit.as_dict()["trouble"]) == (pid, "")


async def test_on_a_full_disk_it_stays_and_starts_what_it_can_when_there_is_space(supervisor, standins, background):
    stop = asyncio.Event()
    async with background(supervisor.run((), stop), stop):
        await until_ready(supervisor)
        await supervisor.stop("reader")
        standins.components["reader"].prepare = standins.components["reader"].out_of_space
        reply = await supervisor.start("reader")
        assert reply["state"] == "back-off"
        assert "No space left on device" in reply["detail"]
        del standins.components["reader"].prepare
        await until_ready(supervisor)
