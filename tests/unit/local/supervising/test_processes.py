import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from atlas_local.supervising import processes
from atlas_local.supervising.processes import (
    Command,
    Identity,
    Process,
    StillThere,
    last_lines,
    reap,
    rotate,
    spawned_into,
)
from atlas_local.waiting import wait_until

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def python(code: str, **options) -> Command:
    return Command(argv=[sys.executable, "-S", "-c", code], **options)


async def until_said(log, what: str) -> None:
    await wait_until(f"{what!r} in {log}", lambda: what in "\n".join(last_lines(log)), 10)


async def test_output_is_appended_to_the_log(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("before\n")
    process = Process.spawn(python("import sys; print('out'); print('err', file=sys.stderr)"), log)
    assert await process.wait() == 0
    assert sorted(last_lines(log)) == ["before", "err", "out"]


async def test_stop_sends_the_signal_and_gives_the_exit_code(tmp_path):
    process = Process.spawn(python(SLEEP, stop_signal=signal.SIGINT), tmp_path / "a.log")
    assert await process.stop() in (-signal.SIGINT, 1)
    assert process.exit_code is not None


async def test_what_does_not_stop_is_killed(tmp_path):
    log = tmp_path / "a.log"
    process = Process.spawn(python(STUBBORN, stop_s=0.2), log)
    await until_said(log, "up")
    assert await process.stop() == -signal.SIGKILL


async def test_a_kill_takes_the_grandchildren_along(tmp_path):
    log = tmp_path / "a.log"
    code = f"""
import subprocess, sys
subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}])
print('up', flush=True)
{SLEEP}"""
    process = Process.spawn(python(code), log)
    await until_said(log, "up")
    [grandchild] = [Identity.of(child.pid) for child in psutil.Process(process.pid).children()]
    assert grandchild is not None
    process.kill()
    await wait_until("the grandchild is gone", lambda: not grandchild.alive, 5)
    assert process.exit_code == -signal.SIGKILL


async def test_a_child_gets_its_stop_signal_when_the_parent_is_killed(tmp_path):
    log = tmp_path / "child.log"
    code = (
        "import pathlib, sys, time\n"
        "from atlas_local.supervising.processes import Command, Process\n"
        f"p = Process.spawn(Command(argv=[sys.executable, '-S', '-c', {SLEEP!r}]), pathlib.Path({str(log)!r}))\n"
        "print(p.identity.pid, p.identity.started, flush=True); time.sleep(60)"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid, started = (await parent.stdout.readline()).split()
    child = Identity(int(pid), int(started))
    assert child.alive
    parent.kill()
    await parent.communicate()
    await wait_until("the child ends with its parent", lambda: not child.alive, 5)


async def test_a_process_goes_on_under_another_event_loop(tmp_path):
    process = Process.spawn(python(SLEEP), tmp_path / "a.log")

    def elsewhere() -> None:
        async def wait_a_little() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await process.wait()

        asyncio.run(wait_a_little())

    await asyncio.to_thread(elsewhere)
    assert process.exit_code is None
    await process.stop()


def test_an_identity_is_not_taken_over_by_a_later_process():
    own = Identity.of(os.getpid())
    assert own is not None
    assert own.alive
    assert not Identity(own.pid, own.started - 1).alive
    assert Identity.of(2**22 + 1) is None


def test_a_zombie_does_not_count_as_alive():
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as child:
        identity = Identity.of(child.pid)
        deadline = time.monotonic() + 5
        while Identity.of(child.pid) is not None:
            assert time.monotonic() < deadline
        assert identity is None or not identity.alive


async def test_reap_ends_what_is_left_and_spares_a_reused_id(tmp_path):
    left = Process.spawn(python(SLEEP), tmp_path / "a.log")
    other = Process.spawn(python(SLEEP), tmp_path / "b.log")
    reused = Identity(other.pid, other.identity.started - 1)
    assert await reap([left.identity, reused], signal.SIGTERM, 5) == 1
    assert left.exit_code == -signal.SIGTERM
    assert other.identity.alive
    await other.stop()


async def test_reap_kills_what_ignores_the_signal(tmp_path):
    log = tmp_path / "a.log"
    left = Process.spawn(python(STUBBORN), log)
    await until_said(log, "up")
    assert await reap([left.identity], signal.SIGTERM, 0.2) == 1
    assert left.exit_code == -signal.SIGKILL


async def test_a_log_is_cut_and_the_writer_goes_on(tmp_path):
    log = tmp_path / "a.log"
    code = "import sys\nprint('x' * 100, flush=True)\nfor line in open(sys.argv[1]): print(line, end='', flush=True)"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = Process.spawn(Command(argv=[sys.executable, "-S", "-c", code, str(pipe)]), log)
    await until_said(log, "xxx")
    assert not rotate(log, 1000)
    assert rotate(log, 50)
    assert log.stat().st_size == 0
    assert "xxx" in (tmp_path / "a.log.1").read_text()
    await asyncio.to_thread(pipe.write_text, "after\n")
    assert await process.wait() == 0
    assert log.read_text() == "after\n"  # appended at the new end, without a hole


def test_the_log_of_nothing_is_empty(tmp_path):
    assert last_lines(tmp_path / "none.log") == []
    assert not rotate(tmp_path / "none.log")


async def test_what_it_leaves_outside_goes_with_it(tmp_path):
    for end in ("stop", "kill"):
        left = tmp_path / "left.sock"
        left.touch()
        process = Process.spawn(python(SLEEP, leaves=(left, tmp_path / "never made")), tmp_path / "a.log")
        if end == "stop":
            await process.stop()
        else:
            process.kill()
        assert not left.exists()


async def test_what_was_spawned_is_found_by_its_outputs_whatever_it_writes_over(tmp_path):
    logs = tmp_path / "logs"
    child = Process.spawn(python(SLEEP), logs / "store.log")
    elsewhere = Process.spawn(python(SLEEP), tmp_path / "other" / "store.log")
    with (logs / "store.log").open("ab") as log:
        # Not one of ours: somebody's command that only writes there, or only reads.
        writes = await asyncio.create_subprocess_exec("sleep", "60", stdout=log)
        reads = await asyncio.create_subprocess_exec("tail", "-f", str(logs / "store.log"), stdout=subprocess.DEVNULL)
    assert spawned_into(logs) == [("store", child.identity)]
    (logs / "store.log").unlink()
    assert spawned_into(logs) == [("store", child.identity)]
    for other in (writes, reads):
        other.kill()
        await other.wait()
    await child.stop()
    await elsewhere.stop()
    assert spawned_into(logs) == []


async def test_what_can_not_be_ended_is_named_and_not_waited_for_without_end(monkeypatch, tmp_path):
    left = Process.spawn(python(STUBBORN), tmp_path / "a.log")
    await until_said(tmp_path / "a.log", "up")

    def refused(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(processes, "_KILL_S", 0.1)
    with monkeypatch.context() as other_user:
        other_user.setattr(os, "kill", refused)
        with pytest.raises(StillThere, match=rf"process {left.pid} \(python.* kill -9 {left.pid}"):
            await reap([left.identity], signal.SIGTERM, 0.1)
    left.kill()
