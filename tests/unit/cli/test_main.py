"""Every command of the CLI, whatever comes back: no traceback, nothing that speaks to the terminal, a sane exit code.

The commands are those that typer knows, so a new one is tried too. What is asked for is thrown at them from outside:
services that are away or answer garbage, a home whose files are broken, schemas that are none.
"""

import contextlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from atlas_cli import asking
from atlas_cli.main import app, run
from atlas_cli.terminal import faults
from atlas_local import client
from atlas_local.supervising import control

from tests.contexts import SCHEMAS
from tests.unit.cli.commands.serving import serving_raw
from tests.unit.cli.conftest import point_at

ROOT = Path(__file__).resolve().parents[3]
# What each argument may look like; what is not named gets the hostile text.
HOSTILE = "x\x1b[2J[/red]\u202e\n"
# These would run a mesh, a shell or a job for minutes: what they do with a broken world is tried beside, below. Or they
# would write into this checkout, and ask nobody: tests/unit/cli/scaffold.
LEFT_OUT = {("up",), ("dev",), ("demo",), ("db", "shell")}
LEFT_OUT |= {(what, part) for what in ("new", "remove") for part in ("context", "event", "command", "projection")}
BODIES = {
    "html": b"<html>\x1b[31m</html>",
    "empty": b"",
    "cut": b'{"items": [{"gr',
    "null": b"null",
    "list": b"[1]",
    "empty object": b"{}",
    "wrong types": b'{"items": 5, "records": {}, "projections": [5], "groups": "x", "rows": [[]], "services": [{}]}',
    "wrong results": b'{"results": [5], "user_id": {}, "failed": "x", "asked": 1, "state": [], "generation": "1"}',
    "strings": b'"\\u001b[2J"',
    "deep": b"[" * 100_000,
    "binary": bytes(range(256)),
}  # fmt: skip
STATUSES = (200, 204, 302, 404, 500)


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The path and the command, of every command that does something."""
    stack: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while stack:
        path, command = stack.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            yield path, command
        else:
            stack += [((*path, name), each) for name, each in inner.items()]


ALL = dict(commands())
TRIED = sorted(set(ALL) - LEFT_OUT)


def line_of(path: tuple[str, ...], file: Path) -> list[str]:
    """The command with an argument for each that it needs, and with what it asks first answered."""
    words = list(path)
    for parameter in ALL[path].params:
        needed = parameter.required or parameter.param_type_name == "argument"
        kind = str(parameter.type_descriptor.annotation)
        text = "1" if "int" in kind or "float" in kind else str(file) if "Path" in kind else HOSTILE
        if parameter.param_type_name == "argument" and needed:
            words.append(text)
        elif parameter.required:
            words += [parameter.opts[0], text]
        elif "--yes" in parameter.opts:
            words.append("--yes")
    return words


class Outcome:
    def __init__(self, words: list[str]) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.words = words
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.code = run(words)
        self.out, self.err = out.getvalue(), err.getvalue()

    def check(self) -> None:
        """What holds whatever happened."""
        text = self.out + self.err
        told = f"{self.words}: exit {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in text, told
        assert "defect of atlas" not in text, told
        assert self.code in (0, faults.FAILED, faults.USAGE), told
        harmless = text.replace("\n", "").replace("\r", "").replace("\u00a0", "")
        assert harmless.isprintable(), ascii(harmless)
        if self.code != 0:
            assert text.strip(), told
            assert "atlas: \n" not in text, told


@pytest.fixture
def world(deserted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing answers, and nothing that does is waited for."""
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(SCHEMAS))
    monkeypatch.setattr(client, "_ASK_S", 0.5)
    monkeypatch.setattr(client, "_HUNG_S", 0.5)
    monkeypatch.setattr(asking, "ANSWER_MAX_BYTES", 10_000_000)
    monkeypatch.setattr(control, "_LONGEST_PATH", 60)
    (deserted / "file").write_text('{"type": "x", "value": {}}\n')
    return deserted


@pytest.fixture(autouse=True)
def hushed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As `main` runs a command; undone afterwards."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    with warnings.catch_warnings():
        faults.hush()
        yield
    root.handlers = before


def test_commands_are_found() -> None:
    assert ("tail",) in ALL
    assert ("archive", "verify") in ALL
    assert len(TRIED) > 30
    assert set(ALL) >= LEFT_OUT


@pytest.mark.parametrize("path", TRIED, ids=" ".join)
def test_nobody_there(path: tuple[str, ...], world: Path) -> None:
    words = line_of(path, world / "file")
    Outcome(words).check()
    Outcome([*words, "--json"]).check()
    for extra in (["--nonsense"], ["--", "\x1b[31m"] * 5, ["--help"]):
        Outcome([*path, *extra]).check()


ASKS = [path for path in TRIED if path[0] in
        {"lag", "health", "metrics", "outbox", "dlq", "projections", "rebuild", "rebuild-into", "rollback", "produce",
         "seed"}]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", STATUSES)
def test_services_that_answer_garbage(body: str, status: int, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_raw(BODIES[body], status) as url:
        point_at(monkeypatch, url)
        for path in ASKS:
            Outcome(line_of(path, world / "file")).check()


def test_services_that_break_off_or_send_too_much(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for body, cut in ((b'{"items": []}', True), (b"[" + b"1," * 6_000_000 + b"1]", False)):
        with serving_raw(body, cut=cut) as url:
            point_at(monkeypatch, url)
            for path in ASKS:
                Outcome(line_of(path, world / "file")).check()


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00\x1b[31m", "topics: 5", "topics: {x: {}}", "a: [", "&a [*a]"])
def test_schemas_and_settings_that_are_none(content: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = world / "schemas"
    folder.mkdir()
    for name in ("topics.yaml", "ids.lock", "x.v1.avsc"):
        (folder / name).write_text(content)
    (world / "job.sql").write_text(content)
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(folder))
    for path in TRIED:
        if path[0] in {"schemas", "topics", "tail", "outbox", "replay", "batch", "produce"}:
            Outcome(line_of(path, world / "job.sql")).check()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\x00\x1b[31m", b"ATLAS_POSTGRES_POOL_MAX=x", b"[" * 99_999]
)
def test_a_home_whose_files_are_broken(content: bytes, world: Path) -> None:
    home = world / "home"
    (home / "logs").mkdir(parents=True)
    for name in ("state.json", "mesh.env", "ports.json", "supervisor.lock", "control.sock", "logs/kafka.log"):
        (home / name).write_bytes(content)
    for path in TRIED:
        if len(path) == 1:
            Outcome(line_of(path, world / "file")).check()


def test_a_home_that_is_no_folder(world: Path) -> None:
    (world / "home").write_text("a file")
    for path in TRIED:
        if len(path) == 1:
            Outcome(line_of(path, world / "file")).check()
    Outcome(["up"]).check()


FIGURES = {"partition": 0, "committed": 1, "end": 1, "lag_records": 0, "lag_seconds": 0.5, "attempts": 1, "version": 1,
           "generation": 1, "events": 1, "remaining": 0, "events_per_second": 1.0, "rows": 1, "seconds": 1.0,
           "to_generation": 1, "different_rows": 0}  # fmt: skip
TEXTS = ("group", "topic", "state", "service", "since", "reason", "id", "key", "error", "name", "phase")
# An answer of the right shape for every question, each text in it hostile.
RIGHT: dict[str, Any] = {
    "items": [FIGURES | dict.fromkeys(TEXTS, HOSTILE)],
    "services": [dict.fromkeys(TEXTS, HOSTILE) | {"instances": [{"alive": True}]}],
    "silence": HOSTILE,
    "records": [FIGURES | dict.fromkeys(TEXTS, HOSTILE) | {"request": None}],
    "projections": [FIGURES | dict.fromkeys(TEXTS, HOSTILE) | {"generations": [{"state": "live", **FIGURES}]}],
    "headers": {HOSTILE: HOSTILE},
    "value": {HOSTILE: [HOSTILE]},
    "asked": [HOSTILE],
    "groups": [{HOSTILE: HOSTILE}],
    "rows": [{HOSTILE: HOSTILE}],
    "retried": 1,
    "discarded": 1,
    **{name: value for name, value in FIGURES.items() if name != "rows"},
    **dict.fromkeys(("phase", "error", "title", "detail"), HOSTILE),
    "known": [HOSTILE],
    "state": HOSTILE,
    "result": FIGURES | {"identical": None, "projection": HOSTILE},
    "user_id": HOSTILE,
    "failed": 1,
    "results": [{"error": {"detail": HOSTILE}}],
}


@pytest.mark.parametrize("status", [200, 404])
def test_hostile_texts_in_answers_as_they_should_be(status: int, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    said = ""
    with serving_raw(json.dumps(RIGHT).encode(), status) as url:
        point_at(monkeypatch, url)
        for path in ASKS:
            for extra in ([], ["--json"]):
                outcome = Outcome([*line_of(path, world / "file"), *extra])
                outcome.check()
                said += outcome.out + outcome.err
    assert r"\x1b[2J[/red]\u202e" in said  # it did come through


def test_hostile_metrics(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_raw(b'atlas_x{a="\x1b[2J[/red]\xe2\x80\xae\xff"} 1.0\n') as url:
        point_at(monkeypatch, url)
        for extra in ([], ["--json"]):
            outcome = Outcome(["metrics", *extra])
            outcome.check()
            assert outcome.code == 0
