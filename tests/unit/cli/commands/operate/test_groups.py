"""`atlas groups` against a server that answers as the aggregator does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from atlas_cli.terminal.output import CommandError

from tests.unit.cli.commands.serving import run, serving

GROUP = {
    "group": "orders",
    "protocol": "consumer",
    "state": "Stable",
    "ours": False,
    "status": "ok",
    "topics": ["t", "u"],
    "committed": True,
    "records": 7,
    "seconds": 1.5,
    "members_count": 2,
    "empty_members": 1,
    "members": [
        {"id": "m-1", "client_id": "app-1", "host": "/10.0.0.7", "partitions": {"t": [3, 4], "u": [0]}},
        {"id": "m-2", "client_id": "app-2", "host": "/10.0.0.8", "partitions": {}},
    ],
}
IDLE = {**GROUP, "group": "idle", "protocol": None, "state": "Empty", "topics": [], "members": [], "members_count": 0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was asked for; a page has one group."""
    paths: list[str] = []

    def answer(_method: str, path: str, _body: Any) -> tuple[int, Any]:
        paths.append(path)
        second = "cursor=two" in path
        return 200, {"items": [IDLE if second else GROUP], "next_cursor": None if second else "two"}

    with serving(answer) as url:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("ATLAS_HEALTH_URL", url)
        yield paths


def test_all_pages_as_json(asked: list[str]) -> None:
    assert json.loads(run("groups", "--json")) == [GROUP, IDLE]
    assert len(asked) == 2


def test_a_row_a_group(asked: list[str]) -> None:
    rows = [line.split() for line in run("groups").splitlines()]
    assert ["orders", "consumer", "Stable", "2", "1", "2", "7", "1.5"] in rows
    assert any(row[:2] == ["idle", "Empty"] for row in rows)
    run("groups", "--group", "orders")
    assert "group=orders" in asked[-2]


def test_a_row_a_member_with_its_client_and_host(asked: list[str]) -> None:
    rows = [line.split() for line in run("groups", "--members").splitlines()]
    assert ["orders", "app-1", "/10.0.0.7", "3"] in rows
    assert ["orders", "app-2", "/10.0.0.8", "0"] in rows
    assert asked


def test_an_aggregator_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_HEALTH_URL", "http://127.0.0.1:1")
    with pytest.raises(CommandError, match="health-aggregator"):
        run("groups")
