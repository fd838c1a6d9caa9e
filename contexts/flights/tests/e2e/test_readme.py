"""The lines of the README, one after the other as they stand, on a fresh copy of the checkout."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_local.home import ROOT
from atlas_local.testing import requires

from tests.e2e.runbook import Copy, Step

LINE = re.compile(r"^\$ ((?:make|atlas|curl) [^#\n]*?) *(?:#[^\n]*)?$", re.MULTILINE)
ARCHIVED_WITHIN_S = 90  # a segment is closed when it is old enough


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(tmp_path / "checkout")
    yield copy
    copy.run([".venv/bin/atlas", "down", "--purge", "--yes"])


def lines() -> list[str]:
    text = (ROOT / "README.md").read_text()
    # The first block sets everything up and runs every test.
    return LINE.findall(text[text.index("$ make up") :])


def test_no_line_is_left_out() -> None:
    """What the first block sets up and proves takes as long as a whole test run; its lines are targets at least."""
    written = re.findall(r"(?m)^\$ (.*?) *(?:#.*)?$", (ROOT / "README.md").read_text())
    first = [line for line in written if line not in lines()]
    assert first == ["make demo", "make test"]
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    assert {line.removeprefix("make ") for line in first} <= set(targets)


def test_every_line_runs_as_it_stands(copy: Copy) -> None:
    requires("curl")
    printed: dict[str, str] = {}
    found = lines()
    assert len(found) >= 12
    assert found[-1] == "make down"
    for line in found:
        if line.startswith("atlas batch"):
            _until_archived(copy)
        printed[line] = copy.follow(Step("console", "", f"$ {line}"))
    of = {line.split(" ")[1]: text for line, text in printed.items() if not line.startswith("curl")}
    assert "ready in" in of["up"]
    assert "12 sent, 0 failed" in of["produce"]
    assert "users.UserRegistered" in of["tail"]
    assert "is live" in of["rebuild"]
    assert "the archive is complete" in of["archive"]
    assert "records of users.events are on users.again" in of["replay"]
    assert "UA" in of["batch"]
    [routes] = [text for line, text in printed.items() if line.startswith("curl")]
    assert '"items":[' in routes.replace(" ", ""), routes


def _until_archived(copy: Copy) -> None:
    """Somebody who types reaches this line later than a test does."""
    deadline = time.monotonic() + ARCHIVED_WITHIN_S
    while "flights.events" not in copy.run(["atlas", "archive", "ls"]):
        assert time.monotonic() < deadline, "flights.events is not archived"
