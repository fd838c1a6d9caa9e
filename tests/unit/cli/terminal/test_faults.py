"""Every error becomes one line and an exit code."""

import asyncio
import sys
from pathlib import Path

import pytest
import typer
from atlas_cli.terminal import faults
from atlas_cli.terminal.faults import DEFECT, FAILED, explain, report
from atlas_cli.terminal.output import CommandError


def said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = report(error)
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


@pytest.fixture(autouse=True)
def no_mesh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ATLAS_CLI_DEBUG", raising=False)
    return tmp_path / "home"


def test_an_expected_error_is_its_own_text_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(CommandError("no\n  topic \x1b[2J"), capsys) == (FAILED, "atlas: no topic \\x1b[2J\n")
    error = CommandError("gateway failed", details=["line\n1", "\x1b]0;x\x07"])
    assert said(error, capsys) == (FAILED, "atlas: gateway failed\n  line\\n1\n  \\x1b]0;x\\x07\n")


def test_errors_of_libraries_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    import aiohttp
    import asyncpg
    from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
    from atlas_local.supervising.component import StartFailed
    from atlas_local.supervising.control import NotRunning
    from botocore.exceptions import EndpointConnectionError
    from redis.exceptions import ConnectionError as RedisAway

    errors: list[BaseException] = [
        aiohttp.ClientPayloadError("cut"),
        asyncpg.UndefinedTableError("no table"),
        asyncpg.InterfaceError("closed"),
        KafkaConnectionError("nobody"),
        TopicAuthorizationFailedError(),
        StartFailed("x ended\nlast lines"),
        NotRunning("no mesh"),
        EndpointConnectionError(endpoint_url="http://x"),
        RedisAway("away"),
        FileNotFoundError(2, "No such file or directory", "/x/y"),
        OSError(28, "No space left on device"),
        TimeoutError(),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        ExceptionGroup("both", [CommandError("one"), OSError("two")]),
    ]
    for error in errors:
        code, text = said(error, capsys)
        assert code == FAILED, error
        assert text.startswith("atlas: ")
        assert text.count("\n") == 1
        assert text.strip() != "atlas:"


def test_a_mesh_that_is_down_is_told_with_the_next_step() -> None:
    from atlas_local.supervising.control import NotRunning

    assert str(explain(NotRunning("no mesh runs in /x"))).endswith("start the mesh: atlas up")
    assert str(explain(ConnectionRefusedError(111, "Connection refused"))).endswith("start the mesh: atlas up")


def test_a_defect_is_one_line_too_and_its_traceback_is_kept(capsys: pytest.CaptureFixture[str], no_mesh: Path) -> None:
    code, text = said(KeyError("events\x1b"), capsys)
    assert code == DEFECT
    assert text.count("\n") == 1
    assert "KeyError" in text
    assert "ATLAS_CLI_DEBUG" in text
    (no_mesh / "logs").mkdir(parents=True)
    try:
        raise ExceptionGroup("all", [CommandError("fine"), IndexError("list index out of range")])
    except ExceptionGroup as error:
        code, text = said(error, capsys)
    assert code == DEFECT
    assert str(no_mesh / "logs" / "cli.log") in text
    assert "Traceback" not in text
    assert "IndexError" in (no_mesh / "logs" / "cli.log").read_text()


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_CLI_DEBUG", "1")
    assert "IndexError: x" in said(IndexError("x"), capsys)[1]
    assert "CommandError" in said(CommandError("x"), capsys)[1]


def test_to_answer_no_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(typer.Abort(), capsys) == (FAILED, "atlas: not done\n")


def test_hushed_nothing_of_a_library_reaches_the_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging
    import threading
    import warnings

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers = []
    try:
        with warnings.catch_warnings():
            faults.hush()
            warnings.warn("a warning", stacklevel=1)
            logging.getLogger("asyncio").error("lost", exc_info=ValueError("x"))
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()

            async def leave_an_error_behind() -> None:
                asyncio.get_running_loop().create_future().set_exception(KeyError("lost"))

            asyncio.run(leave_an_error_behind())
    finally:
        root.handlers = before
    assert capfd.readouterr() == ("", "")
