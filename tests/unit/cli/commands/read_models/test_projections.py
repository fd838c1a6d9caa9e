"""What the commands print; the projector is a stand-in."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from atlas_cli.commands.read_models import projections
from atlas_cli.read_models import rebuilding
from atlas_cli.terminal.output import CommandError
from typer.testing import CliRunner

RESULT: dict[str, Any] = {
    "projection": "hauls",
    "from_generation": 1,
    "to_generation": 2,
    "rows": 336776,
    "identical": True,
    "different_rows": 0,
    "events": 336776,
    "passed_over": 0,
    "seconds": 6.5,
}
STATE = {"phase": "reading", "events": 5000, "remaining": 331776, "events_per_second": 50000.0}


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    projections.register(made)
    return made


def stand_in(monkeypatch: pytest.MonkeyPatch, result: dict[str, Any]) -> dict[str, Any]:
    """Have every rebuild end with `result`; what it was asked with is in the dict returned."""
    asked: dict[str, Any] = {}

    async def rebuild(_settings: Any, name: str, *, verify: bool, flags: Any, on_progress: Any) -> dict[str, Any]:
        asked.update(name=name, verify=verify, flags=flags)
        on_progress(STATE)
        return result

    monkeypatch.setattr(rebuilding, "rebuild", rebuild)
    return asked


def test_a_rebuild_in_words(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stand_in(monkeypatch, RESULT)
    outcome = CliRunner().invoke(app, ["rebuild", "hauls", "--verify"])
    assert outcome.exit_code == 0
    assert outcome.stdout == (
        "hauls: generation 2 is live: 336,776 rows from 336,776 events in 6.5 s, identical to the generation before\n"
    )
    assert "reading, 5,000 events, 331,776 to go, 50,000/s" in outcome.stderr
    assert asked == {"name": "hauls", "verify": True, "flags": ()}


def test_a_rebuild_as_json_is_one_document(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, RESULT)
    outcome = CliRunner().invoke(app, ["rebuild", "hauls", "--json"])
    assert json.loads(outcome.stdout) == RESULT
    assert outcome.stderr == ""


def test_rows_that_differ_are_an_error(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, RESULT | {"identical": False, "different_rows": 3})
    outcome = CliRunner().invoke(app, ["rebuild", "hauls", "--verify"])
    assert outcome.exit_code == 1
    assert isinstance(outcome.exception, CommandError)
    assert "3 rows of hauls came out differently" in str(outcome.exception)


GONE = "hauls.events: made again since, … 120 rows that readers of hauls see would be gone; nothing was swapped"


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "runs"),
    [
        ([], None, 1, [False]),
        (["--json"], "", 1, [False]),
        ([], "n\n", 1, [False]),
        ([], "y\n", 0, [False, True]),
        (["--yes"], None, 0, [True]),
    ],
)
def test_rows_that_would_be_gone_are_asked_about(
    app: typer.Typer,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    typed: str | None,
    code: int,
    runs: list[bool],
) -> None:
    """`typed`: at a terminal; None where there is none."""
    asked: list[bool] = []

    async def rebuild(_settings: Any, _name: str, *, flags: Any, **_rest: Any) -> dict[str, Any]:
        asked.append("though_missing" in flags)
        if not asked[-1]:
            raise rebuilding.RowsMissing(GONE)
        return RESULT

    monkeypatch.setattr(rebuilding, "rebuild", rebuild)
    monkeypatch.setattr(projections, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: typed is not None)))
    outcome = CliRunner().invoke(app, ["rebuild", "hauls", *arguments], input=typed)
    assert (outcome.exit_code, asked) == (code, runs)
    if typed:
        assert "120 rows" in outcome.stderr
    elif code:
        assert str(outcome.exception) == f"{GONE}; --yes swaps all the same"


def test_the_list(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {
        "name": "hauls",
        "state": "running",
        "reason": None,
        "generation": 2,
        "version": 1,
        "events_per_second": 12.5,
        "generations": [
            {"generation": 1, "state": "previous", "events": 90},
            {"generation": 2, "state": "live", "events": 100},
        ],
    }

    async def ask(_settings: Any, method: str, path: str, _shape: Any) -> Any:
        assert (method, path) == ("GET", "/projections")
        return {"projections": [entry]}

    monkeypatch.setattr(rebuilding, "ask", ask)
    assert json.loads(CliRunner().invoke(app, ["projections", "--json"]).stdout) == [entry]
    table = CliRunner().invoke(app, ["projections"]).stdout
    assert [word for word in ("hauls", "running", "100", "12.5") if word not in table] == []
