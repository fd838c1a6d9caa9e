import json
from collections.abc import Iterator
from typing import Any

import pytest
from atlas_cli.commands.read_models import dlq as dlq_commands
from atlas_cli.main import app
from atlas_cli.terminal.output import CommandError
from typer.testing import CliRunner

from tests.unit.cli.commands.serving import run, serving

ID = "yards/yards.events/0@17"
RECORD: dict[str, Any] = {
    "id": ID,
    "projection": "yards",
    "key": "u-1",
    "state": "dead",
    "error": "a bad address",
    "attempts": 2,
    "request": None,
}


class Projector:
    """Answers as the projector does; `waiting` is what a look after a retry or a drop finds."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.waiting: list[dict[str, Any]] = [RECORD]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        self.asked.append((method, path, json.loads(body) if body else None))
        if method == "POST":
            if path.endswith("/skip"):
                return 200, {"skipped": [ID]}
            return 200, {"asked": [ID], "count": 1}
        if path.partition("?")[0] == "/dead-letters":
            asked = sum(record["request"] is not None for record in self.waiting)
            return 200, {"records": self.waiting, "waiting": len(self.waiting), "asked": asked}
        raw = {"key": "752d31", "value": "00", "headers": [["ce_type", "75"]]}
        return 200, RECORD | {"headers": {"ce_type": "yards.YardRegistered"}, "value": {"hex": "00"}, "raw": raw}


@pytest.fixture
def projector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Projector]:
    own = Projector()
    with serving(own.answer) as url:
        monkeypatch.setenv("ATLAS_PROJECTOR_URL", url)
        yield own


def dlq(*arguments: str) -> str:
    return run("dlq", *arguments)


def test_what_waits_is_listed(projector: Projector) -> None:
    assert json.loads(dlq("ls", "yards", "--json")) == [RECORD]
    assert "a bad address" in dlq("ls", "--all")
    assert [path for _, path, _ in projector.asked] == ["/dead-letters?projection=yards", "/dead-letters?all=1"]
    projector.waiting = []
    assert dlq("ls") == "nothing waits\n"


def test_one_record_is_shown_whole(projector: Projector) -> None:
    shown = dlq("show", ID)
    assert "ce_type: yards.YardRegistered" in shown
    assert '"hex": "00"' in shown
    assert json.loads(dlq("show", ID, "--json"))["id"] == ID
    assert projector.asked[0][1] == f"/dead-letters/{ID}"


def test_one_record_is_shown_byte_for_byte(projector: Projector) -> None:
    shown = dlq("show", ID, "--raw")
    assert "key bytes      752d31" in shown
    assert "header bytes   ce_type: 75" in shown
    assert "value bytes    00" in shown


def test_one_is_stepped_over(projector: Projector) -> None:
    assert dlq("skip", ID, "--reason", "it kills us") == "1 records will be stepped over\n"
    assert projector.asked == [("POST", "/dead-letters/skip", {"ids": [ID], "reason": "it kills us"})]


def test_retried_and_gone(projector: Projector) -> None:
    projector.waiting = []
    assert dlq("retry", ID) == "1 records handled\n"
    assert projector.asked[0] == ("POST", "/dead-letters/retry", {"ids": [ID]})
    assert json.loads(dlq("retry", "--projection", "yards", "--json")) == {
        "settled": [ID],
        "failed": {},
        "count": 1,
    }


def test_failed_again(projector: Projector) -> None:
    with pytest.raises(CommandError, match=r"1 of 1 records failed again, yards/yards.events/0@17: a bad address"):
        dlq("retry", ID)


def test_nobody_takes_it_up(projector: Projector, monkeypatch: pytest.MonkeyPatch) -> None:
    projector.waiting = [RECORD | {"request": "retry"}]
    monkeypatch.setattr(dlq_commands, "SETTLED_WITHIN_S", 0.1)
    with pytest.raises(CommandError, match="is the projection running"):
        dlq("retry", ID)


def test_dropping_is_asked_about(projector: Projector) -> None:
    projector.waiting = []
    assert CliRunner().invoke(app, ["dlq", "drop", ID], input="n\n").exit_code == 1
    assert projector.asked == []
    assert "given up" in dlq("drop", ID, "--yes")
    assert projector.asked[0] == ("POST", "/dead-letters/drop", {"ids": [ID]})


@pytest.mark.parametrize("arguments", [("retry",), ("retry", ID, "--projection", "yards")])
def test_one_choice_of_records(projector: Projector, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="say which records"):
        dlq(*arguments)


def test_a_record_that_does_not_wait_is_named(projector: Projector) -> None:
    with pytest.raises(CommandError, match=r"yards/yards\.events/0@18: no such record waits"):
        dlq("retry", ID, "yards/yards.events/0@18")
