import json
from collections.abc import Iterator
from typing import Any

import pytest
from atlas_cli.terminal.output import CommandError

from tests.unit.cli.commands.serving import run, serving

ROW = {"id": 7, "topic": "yards.events", "key": "u-1", "error": "unknown topic"}
GROUP = {"group": 0, "owner": "relay-a", "epoch": 3}
ANSWERS = {
    "/outbox": {"backlog_rows": 12, "parked_rows": 1, "groups": [GROUP]},
    "/outbox/parked": {"rows": [ROW]},
    "/outbox/parked/retry": {"retried": 3},
    "/outbox/parked/discard": {"discarded": 2},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """A relay that answers, and what it was asked."""
    requests: list[tuple[str, Any]] = []

    def answer(_method: str, path: str, body: bytes) -> tuple[int, Any]:
        requests.append((path, json.loads(body) if body else None))
        return 200, ANSWERS[path.partition("?")[0]]

    with serving(answer) as url:
        monkeypatch.setenv("ATLAS_RELAY_URL", url)
        yield requests


def outbox(*arguments: str, answer: str = "") -> str:
    return run("outbox", *arguments, answer=answer)


def test_status_shows_figures_and_groups(asked):
    out = outbox("status")
    assert "12" in out
    assert "relay-a" in out
    assert json.loads(outbox("status", "--json")) == ANSWERS["/outbox"]


def test_parked_passes_its_filters_on(asked):
    assert json.loads(outbox("parked", "--topic", "yards.events", "--waiting", "-n", "5", "--json")) == [ROW]
    assert asked == [("/outbox/parked?limit=5&waiting=1&topic=yards.events", None)]


def test_retry_and_discard_name_the_rows(asked):
    assert "3 rows" in outbox("retry", "7", "8")
    assert "2 rows" in outbox("discard", "--topic", "t", "--yes")
    assert json.loads(outbox("retry", "--all", "--json")) == {"retried": 3}
    assert asked == [
        ("/outbox/parked/retry", {"ids": [7, 8]}),
        ("/outbox/parked/discard", {"topic": "t"}),
        ("/outbox/parked/retry", {"all": True}),
    ]


def test_discard_asks_first(asked):
    with pytest.raises(AssertionError, match="Aborted"):
        outbox("discard", "7", answer="n\n")
    assert asked == []
    outbox("discard", "7", answer="y\n")
    assert asked == [("/outbox/parked/discard", {"ids": [7]})]


@pytest.mark.parametrize("arguments", [(), ("1", "--all"), ("--all", "--topic", "t")])
def test_an_unclear_choice_is_one_line(arguments):
    with pytest.raises(CommandError, match="say which rows"):
        outbox("retry", *arguments)


def test_no_relay_is_one_line(monkeypatch):
    monkeypatch.setenv("ATLAS_RELAY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ATLAS_POSTGRES_DSN", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(CommandError, match="neither the relay nor its database answers"):
        outbox("status")
