"""The runbook "add an event, a command and a projection", step by step as it is written."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_local.home import ROOT
from atlas_local.testing import requires

from tests.e2e.runbook import Copy, steps

RETIRE = ROOT / "docs/runbooks/retire-an-event-or-a-projection.md"
RUNBOOK = ROOT / "docs/runbooks/add-an-event-a-command-and-a-projection.md"


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(tmp_path / "checkout", "bookings")
    yield copy
    copy.run([".venv/bin/atlas", "down", "--purge", "--yes"])


def test_it_works_as_written(copy: Copy) -> None:
    requires("curl")
    copy.run([".venv/bin/atlas", "up"])
    printed = [(step.language, copy.follow(step)) for step in steps(RUNBOOK)]
    used, cancelled = (text.replace(" ", "") for language, text in printed if language == "sh")
    made = "".join(text for language, text in printed if language == "console")
    assert '"seat":"12C"' in used, "the query answers with the booking"
    assert '"price":"19.90"' in used, "a decimal is exact"
    assert '"status":409' in used, "a seat is booked once"
    assert "SeatBooked" in used, "the event is on the topic"
    assert "restarted: gateway, projector, archiver" in made, "make up notices what is new"
    assert '"cancelled_at":"2' in cancelled, "the read model was built anew with the next event"
    written = sum(
        line.startswith("+") for step in steps(RUNBOOK) if step.language == "diff" for line in step.text.splitlines()
    )
    assert written <= 25, "so many lines are written by hand"
    copy.run([".venv/bin/ruff", "check", "contexts"])
    copy.run([".venv/bin/ruff", "format", "--check", "contexts"])
    copy.run(["env", "MYPYPATH=contexts/bookings", ".venv/bin/mypy", "contexts/bookings/atlas_bookings"])
    retired = [copy.follow(step) for step in steps(RETIRE)]
    assert "bookings: the consumer group and 2 tables and keys are gone" in retired[0]
    left = copy.run([".venv/bin/atlas", "db", "shell", "--", "-Atc", "SELECT count(*) FROM app.bookings"])
    assert left.strip() == "1", "what commands decided on stays"
    copy.run(["sh", "-euc", f"diff -r {ROOT}/schemas schemas && test ! -e contexts/bookings"])
