"""Logs: one JSON object a line, ids added, secrets masked."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from atlas_runtime.observing import logs, traces
from atlas_runtime.observing.repeats import AT_MOST
from atlas_runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    service: str = "unit"
    instance: str = "unit-1"
    http_port: int = 0


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logs.shutdown()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_carries_identity_level_time_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    with logs.correlated("req-1"), traces.span("work"):
        structlog.get_logger("x").info("hello", rows=3)
        header = traces.traceparent()
    (line,) = _lines(capsys)
    assert line["event"] == "hello"
    assert line["rows"] == 3
    assert (line["service"], line["instance"], line["level"]) == ("unit", "unit-1", "info")
    assert line["correlation_id"] == "req-1"
    assert header is not None
    assert header.split("-")[1:3] == [line["trace_id"], line["span_id"]]
    assert line["timestamp"].endswith("Z")


def test_ids_are_absent_outside_of_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    structlog.get_logger().info("alone")
    (line,) = _lines(capsys)
    assert not {"correlation_id", "trace_id", "span_id"} & set(line)
    assert logs.correlation_id() is None


async def test_tasks_inherit_the_correlation_id() -> None:
    async def ask() -> str | None:
        return logs.correlation_id()

    with logs.correlated("req-2"):
        task = asyncio.create_task(ask())
    assert await task == "req-2"
    assert logs.correlation_id() is None


def test_what_libraries_log_takes_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    with logs.correlated("req-3"):
        logging.getLogger("some.library").warning("lost %s of postgresql://u:hunter2@h/x", 2)
    (line,) = _lines(capsys)
    assert line["event"] == "lost 2 of postgresql://u:***@h/x"
    assert (line["logger"], line["level"], line["correlation_id"]) == ("some.library", "warning", "req-3")


def test_no_secret_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(log_format="json")
    logs.configure(settings)
    secret = "hunter2"
    try:
        raise ValueError(f"can't connect to postgresql://atlas:{secret}@db/atlas")
    except ValueError:
        structlog.get_logger().exception(
            "failed",
            password=secret,
            s3_secret_key=secret,
            Authorization=f"Bearer {secret}",
            dsn=f"postgresql://{secret}",
            nested={"api_key": secret, "list": [f"redis://:{secret}@h"]},
        )
    out = capsys.readouterr().out
    assert "failed" in out
    assert "ValueError" in out
    assert secret not in out


def test_all_lines_have_one_shape(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    structlog.get_logger("atlas_relay.lanes").info("relaying", groups=[1])
    for name in ("aiokafka.consumer", "mode.worker", "faust.app"):
        logging.getLogger(name).error("can't %s", "connect", exc_info=OSError("no route"))
    ours, *theirs = _lines(capsys)
    shape = ["timestamp", "level", "service", "instance", "logger", "event"]
    assert list(ours) == [*shape, "groups"]
    assert ours["logger"] == "atlas_relay.lanes"
    for line in theirs:
        assert list(line) == [*shape, "exception"]
        assert (line["event"], line["exception"]) == ("can't connect", "OSError: no route")


def test_a_record_of_a_batch_is_logged_under_its_own_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    with traces.span("of another"):
        structlog.get_logger().error("dead letter", trace_id="ab" * 16)
    (line,) = _lines(capsys)
    assert line["trace_id"] == "ab" * 16
    assert "span_id" not in line


def test_a_library_that_repeats_itself_is_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    library = logging.getLogger("some.library")
    for node in range(50):
        library.error("can't connect to %s", node)
    library.error("something else")
    assert [line["event"] for line in _lines(capsys)] == ["can't connect to 0", "something else"]
    logs.shutdown()
    (line,) = _lines(capsys)
    assert (line["event"], line["held_back"]) == ("can't connect to 49", 48)


def test_a_line_of_ours_that_comes_again_and_again_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json", log_level="DEBUG"))
    log = structlog.get_logger("x")
    for attempt in range(100):
        log.warning("will try again", attempt=attempt, error="OSError: gone")
    log.warning("will try again", error="ValueError: another kind")
    try:
        raise KeyError("k")
    except KeyError:
        log.exception("will try again")
    for number in range(100):
        log.debug("request", number=number)
    lines = _lines(capsys)
    assert [line.get("attempt") for line in lines[:AT_MOST]] == list(range(AT_MOST))
    assert [line["level"] for line in lines[AT_MOST:]] == ["warning", "error"] + ["debug"] * 100
    logs.shutdown()
    (line,) = _lines(capsys)
    assert (line["event"], line["attempt"], line["held_back"]) == ("will try again", 99, 100 - AT_MOST - 1)


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json", log_level="WARNING"))
    structlog.get_logger().info("no")
    logging.getLogger("lib").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in _lines(capsys)] == ["yes"]


def test_a_value_json_does_not_know_is_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    structlog.get_logger().info("odd", kind=object, blob=b"\xff", keys={1: 2}, many=2**70, lone="\ud800", nothing=None)
    (line,) = _lines(capsys)
    assert "object" in line["kind"]
    assert (line["blob"], line["keys"], line["many"]) == ("1 bytes", {"1": 2}, "…")
    assert (line["lone"], line["nothing"]) == ("\\ud800", None)


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="console"))
    structlog.get_logger().info("hello", rows=3)
    out = capsys.readouterr().out
    assert "hello" in out
    assert "rows=3" in out
    assert not out.startswith("{")


def test_a_full_disk_behind_the_log_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - closing it fails as well
    said = False
    try:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", full)
            logs.configure(Settings(log_format="json"))
            structlog.get_logger().error("lost")
            logging.getLogger("library").error("lost too")
            said = True
    finally:
        with contextlib.suppress(OSError):
            full.close()
    assert said
