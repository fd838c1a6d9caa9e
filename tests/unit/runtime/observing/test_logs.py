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


def test_a_library_that_repeats_itself_is_cut_short(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_REPEAT_AFTER_S", 60.0)
    logs.configure(Settings(log_format="json"))
    library = logging.getLogger("some.library")
    for node in range(50):
        library.error("can't connect to %s", node)
    library.error("something else")
    assert [line["event"] for line in _lines(capsys)] == ["can't connect to 0", "something else"]
    monkeypatch.setattr(logs, "_REPEAT_AFTER_S", 0.0)
    library.error("can't connect to %s", 50)
    for n in range(3):
        structlog.get_logger().info("our own lines are all written", n=n)
    events = [line["event"] for line in _lines(capsys)]
    assert events == ["can't connect to 50 (49 more like it)", *["our own lines are all written"] * 3]


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json", log_level="WARNING"))
    structlog.get_logger().info("no")
    logging.getLogger("lib").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in _lines(capsys)] == ["yes"]


def test_a_value_json_does_not_know_is_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    structlog.get_logger().info("odd", value=object, raw=b"\xff", keys={1: 2})
    (line,) = _lines(capsys)
    assert "object" in line["value"]
    assert line["keys"] == {"1": 2}


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="console"))
    structlog.get_logger().info("hello", rows=3)
    out = capsys.readouterr().out
    assert "hello" in out
    assert "rows=3" in out
    assert not out.startswith("{")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("redis://:p@h:6379/0", "redis://:***@h:6379/0"),
        ("http://h:80/a@b", "http://h:80/a@b"),
        ("a postgresql://u:p@h and redis://:q@i", "a postgresql://u:***@h and redis://:***@i"),
        ("no url: x@y", "no url: x@y"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert logs.mask(text) == masked


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
