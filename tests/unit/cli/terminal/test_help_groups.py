"""Every command: where `atlas --help` shows it, its examples, and what they say when no mesh runs."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from atlas_cli.main import app, run
from atlas_cli.terminal.help_groups import GROUPS

EXAMPLE = re.compile(r"^Example: (.+)$", re.MULTILINE)
# Run a mesh, end in another program, ask an outside registry, write into this checkout (tests/unit/cli/scaffold).
NOT_RUN = {"up", "dev", "db shell", "schemas import", "mine"}
NOT_RUN |= {f"{what} {part}" for what in ("new", "remove") for part in ("context", "event", "command", "projection")}
# Say something useful without a mesh: of files, or that there is none.
NEED_NO_MESH = {"down", "logs", "flags", "schemas list", "schemas check", "schemas add"}
# What these take is gone for good, so they ask.
DESTROY = {"down", "outbox discard", "dlq drop", "archive expire", "db reset", "transactions abort", "retire"}
GONE_FOR_GOOD = re.compile(r"\b(delete|drop|give up|giv\w+ \w+ up|for good|aborted)\b", re.IGNORECASE)
# Say "for good" of what they leave in the topic or refuse to take.
KEEP_WHAT_THEY_NAME = {"dlq skip", "rebuild"}


def commands() -> Iterator[tuple[str, Any, str | None]]:
    """Name, command and group of every command that does something."""
    root = typer.main.get_command(app)
    stack = [(name, command, command.rich_help_panel) for name, command in root.commands.items()]  # type: ignore[attr-defined]
    while stack:
        name, command, group = stack.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command, group
        else:
            stack += [(f"{name} {each}", below, group) for each, below in inner.items()]


COMMANDS = {name: (command, group) for name, command, group in commands()}
EXAMPLES = {name: EXAMPLE.findall(command.epilog or "") for name, (command, _) in COMMANDS.items()}


def words_of(name: str, example: str) -> list[str]:
    """The words behind `atlas`, also where it stands within `eval`."""
    inner = re.search(r"atlas [^)]+", example)
    assert inner, f"{name}: {example} is no line of atlas"
    words = shlex.split(inner[0].rstrip('"') if "$(" in example else inner[0])[1:]
    assert words[: len(name.split())] == name.split(), f"{name}: its example is of another command: {example}"
    return words


@pytest.fixture
def down(deserted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing answers, and what the examples read is there."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    (deserted / "bookings.ndjson").write_text('{"type": "bookings.SeatBooked", "value": {}}\n')
    (deserted / "bookings-by-day.sql").write_text(
        "-- topic: bookings.events\n-- type: bookings.SeatBooked\nSELECT COUNT(*) AS seats FROM events\n"
    )
    return deserted


def ran(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words)
    return code, out.getvalue(), err.getvalue()


def test_every_command_is_in_a_group_and_the_groups_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert not {name: group for name, (_, group) in COMMANDS.items() if group not in GROUPS}
    assert run(["--help"]) == 0
    shown = re.findall(r"╭─ (.+?) ─", capsys.readouterr().out)
    assert tuple(shown) == ("Options", *GROUPS)


def test_every_command_has_a_sentence_an_example_and_json() -> None:
    without = [
        name
        for name, (command, _) in COMMANDS.items()
        if not command.help or not EXAMPLES[name] or "--json" not in {o for p in command.params for o in p.opts}
    ]
    assert not without
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NOT_RUN))
def test_without_a_mesh_every_example_ends_in_one_line_with_the_next_step(name: str, down: Path) -> None:
    for example in EXAMPLES[name]:
        words = words_of(name, example)
        if name in DESTROY and "--yes" not in words:
            words.append("--yes")
        code, out, err = ran(words)
        told = f"{example}: exit {code}\n{out}\n{err}"
        if name in NEED_NO_MESH:
            assert "defect" not in err, told
            continue
        assert code == 1, told
        last = (err or out).splitlines()[-1]
        assert "atlas up" in last, told
        assert len(err.splitlines()) <= 2, told  # where a second server is asked, a line says so


def test_what_destroys_asks_and_does_nothing_unanswered(down: Path) -> None:
    (down / "home" / "data").mkdir(parents=True)
    for name in sorted(DESTROY):
        words = [word for word in words_of(name, EXAMPLES[name][-1]) if word not in ("--yes", "--dry-run")]
        code, _, err = ran(words)
        assert (code, err.splitlines()[-1]) == (1, "atlas: not done: nobody answered; --yes does it without asking")
    assert (down / "home" / "data").exists()
    assert ran(["down", "--purge", "--yes"])[0] == 0
    assert not (down / "home" / "data").exists()


def test_what_says_that_something_is_gone_can_be_answered_in_a_script() -> None:
    asking = {name for name, (command, _) in COMMANDS.items() if "--yes" in {o for p in command.params for o in p.opts}}
    assert asking >= DESTROY
    telling = {name for name, (command, _) in COMMANDS.items() if GONE_FOR_GOOD.search(command.help or "")}
    assert telling
    assert telling <= DESTROY | KEEP_WHAT_THEY_NAME


def test_the_version_is_that_of_the_package() -> None:
    assert ran(["--version"]) == (0, "atlas 0.1.0\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_gets_its_completion(shell: str, tmp_path: Path) -> None:
    atlas = Path(sys.executable).with_name("atlas")
    environment = {**os.environ, "_ATLAS_COMPLETE": f"source_{shell}", "HOME": str(tmp_path)}
    done = subprocess.run([atlas], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "_ATLAS_COMPLETE" in done.stdout


def test_from_any_folder_the_command_finds_its_checkout_and_completes_its_topics(tmp_path: Path) -> None:
    atlas = Path(sys.executable).with_name("atlas")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATLAS_")}
    command = [atlas, "schemas", "list"]
    listed = subprocess.run(command, env=clean, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "health.Heartbeat" in listed.stdout
    asked = {**clean, "_ATLAS_COMPLETE": "complete_bash", "COMP_WORDS": "atlas tail health.ev", "COMP_CWORD": "2"}
    done = subprocess.run([atlas], env=asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["health.events", "health.events.dlq"]
