"""The runbook "add an event, a command and a projection", step by step as it is written."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_local.home import ROOT
from atlas_local.testing import requires

from tests.e2e.runbook import Copy, steps

RUNBOOK = ROOT / "docs/runbooks/add-an-event-a-command-and-a-projection.md"


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(tmp_path / "checkout")
    yield copy
    copy.run([".venv/bin/atlas", "down", "--purge", "--yes"])


def test_it_works_as_written(copy: Copy) -> None:
    requires("curl")
    printed = [copy.follow(step) for step in steps(RUNBOOK)]
    assert '"seat":"12C"' in printed[-1].replace(" ", ""), "the query answers with the booking"
    assert "SeatBooked" in printed[-1], "the event is on the topic"
    copy.run([".venv/bin/ruff", "check", "contexts"])
    copy.run(["env", "MYPYPATH=contexts/bookings", ".venv/bin/mypy", "contexts/bookings/atlas_bookings"])
