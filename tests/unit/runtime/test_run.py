"""The life of a process, seen from outside: signals, drain, exit codes, log lines."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HEAD = """
import asyncio
from atlas_runtime.run import run
from atlas_runtime.settings import ServiceSettings
settings = ServiceSettings(service="unit", http_port=0, log_format="json", drain_timeout_s=0.5)
"""


@contextmanager
def _process(body: str) -> "Iterator[subprocess.Popen[str]]":
    """A process that runs `serve`, waited for until it prints `ready`."""
    program = HEAD + textwrap.dedent(body) + "\nrun(settings, serve)\n"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=_env())
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "ready":
                break
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _env(**more: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("ATLAS_")} | more


def _end(process: "subprocess.Popen[str]") -> tuple[int, list[dict[str, Any]], float]:
    started = time.monotonic()
    out, _ = process.communicate(timeout=20)
    return process.returncode, [json.loads(line) for line in out.splitlines()], time.monotonic() - started


def test_sigterm_sets_stop_and_work_in_flight_finishes() -> None:
    body = """
        async def serve(settings, stop):
            print("ready", flush=True)
            await stop.wait()
            await asyncio.sleep(0.2)
            print('{"event": "finished"}', flush=True)
    """
    for signum in (signal.SIGTERM, signal.SIGINT):
        with _process(body) as process:
            process.send_signal(signum)
            code, lines, _ = _end(process)
        assert code == 0
        assert [line["event"] for line in lines] == ["stopping", "finished", "stopped"]
        assert lines[0]["signal"] == signal.Signals(signum).name


def test_what_does_not_drain_in_time_is_cancelled() -> None:
    body = """
        async def serve(settings, stop):
            print("ready", flush=True)
            try:
                await asyncio.sleep(60)
            finally:
                print('{"event": "cleaned up"}', flush=True)
    """
    with _process(body) as process:
        process.terminate()
        code, lines, took = _end(process)
    assert code == 1
    assert took < 5
    assert [line["event"] for line in lines[:2]] == ["stopping", "cleaned up"]


def test_a_second_signal_does_not_wait_for_the_drain() -> None:
    body = """
        settings = settings.model_copy(update={"drain_timeout_s": 60.0})
        async def serve(settings, stop):
            print("ready", flush=True)
            await stop.wait()
            print("ready", flush=True)
            await asyncio.sleep(60)
    """
    with _process(body) as process:
        process.terminate()
        assert process.stdout is not None
        while process.stdout.readline().strip() != "ready":
            pass
        process.terminate()
        code, _, took = _end(process)
    assert code == 1
    assert took < 10


def test_a_cancellation_that_is_ignored_ends_in_a_kill() -> None:
    body = """
        import atlas_runtime.run as runtime
        runtime._CANCEL_TIMEOUT_S = 0.2
        async def serve(settings, stop):
            print("ready", flush=True)
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
    """
    with _process(body) as process:
        process.terminate()
        code, lines, took = _end(process)
    assert code == 1
    assert took < 10
    assert "ignores its cancellation" in lines[-1]["event"]


def test_a_crash_is_one_line_with_every_error_and_exit_code_1() -> None:
    program = (
        HEAD
        + textwrap.dedent("""
        async def serve(settings, stop):
            raise ExceptionGroup("both", [ValueError("postgresql://u:hunter2@h/x"), KeyError("second")])
    """)
        + "\nrun(settings, serve)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=30, env=_env()
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["starting", "crashed"]
    assert lines[1]["error"] == "ValueError: postgresql://u:***@h/x; KeyError: '…'"
    assert "Traceback" in lines[1]["exception"]
    assert "hunter2" not in done.stdout + done.stderr


def test_giving_up_on_what_is_away_after_stop_is_a_clean_end() -> None:
    body = """
        async def serve(settings, stop):
            print("ready", flush=True)
            await stop.wait()
            raise ConnectionRefusedError("kafka is away")
    """
    with _process(body) as process:
        process.terminate()
        code, lines, _ = _end(process)
    assert code == 0
    assert lines[-1]["event"] == "stopped while something was away"


def test_returning_without_a_signal_is_a_clean_end() -> None:
    with _process("async def serve(settings, stop):\n    print('ready', flush=True)\n") as process:
        assert _end(process)[0] == 0


def test_a_name_that_is_no_setting_is_a_line_of_the_log() -> None:
    program = HEAD + "async def serve(settings, stop): pass\nrun(settings, serve)\n"
    env = _env(ATLAS_DRAIN_TIMEOUT="7", ATLAS_TEST_X="1")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, timeout=20)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [line["event"] for line in lines if line["level"] == "warning"] == [
        "no setting is named ATLAS_DRAIN_TIMEOUT, so it has no effect; near: ATLAS_DRAIN_TIMEOUT_S"
    ]
