"""The lines of the runbook `getting-started`, one after the other as they stand, on a fresh copy of the checkout."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_local.home import ROOT
from atlas_local.testing import requires

from tests.e2e.runbook import Copy, Step, steps

RUNBOOK = ROOT / "docs" / "runbooks" / "getting-started.md"


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(tmp_path / "checkout")
    yield copy
    copy.run([".venv/bin/atlas", "down", "--purge", "--yes"])


def test_every_line_runs_as_it_stands(copy: Copy) -> None:
    requires("curl")
    lines = [
        line
        for step in steps(RUNBOOK)
        if step.language == "console"
        for line in step.text.splitlines()
        if line.startswith("$ ")
    ]
    printed = [copy.follow(Step("console", "", line)) for line in lines]
    told = dict(zip(lines, printed, strict=True))
    assert "ready in" in told["$ make up"]
    assert "users.UserRegistered" in told["$ atlas tail users.events --from beginning --until-end"]
    before, after = (text for line, text in zip(lines, printed, strict=True) if line == "$ atlas flags")
    assert "default" in before
    assert "False" in after
    assert "flags.json" in after
    assert told["$ atlas down --purge --yes"].splitlines()[-1] == "its data are gone"
