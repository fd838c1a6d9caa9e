"""`atlas health` and `atlas lag` against a server that answers as the aggregator does."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from atlas_cli.mesh import lag_watch
from atlas_cli.terminal.output import CommandError

from tests.unit.cli.commands.serving import run, serving

ROW = {
    "group": "projector.hauls",
    "topic": "hauls.events",
    "partition": 0,
    "committed": 3,
    "start": 0,
    "end": 5,
    "lag_records": 2,
    "lag_seconds": 600.0,
    "state": "no-members",
    "members": 0,
    "records_lost": 0,
    "retention_margin_s": 3000.0,
}
MESH = {
    "generated_at": "2026-01-01T00:00:00.000Z",
    "silence": None,
    "services": [
        {
            "service": "relay",
            "state": "DOWN",
            "since": "2026-01-01T00:00:00.000Z",
            "reason": "no heartbeat",
            "instances": [{"instance": "relay-1", "alive": False}],
        }
    ],
}
POINTS = [
    {
        "at": "2026-01-01T00:00:00.000Z",
        "records_max": 9,
        "records_last": 2,
        "seconds_max": 30.5,
        "seconds_last": None,
    }
]


class Answers:
    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        self.bodies: dict[str, Any] = {
            "/health/mesh": MESH,
            "/lag": {
                "taken_at": "x",
                "items": [ROW, {**ROW, "group": "archiver", "topic": "yards.events"}],
                "next_cursor": None,
                "blocked": [],
            },
            "/lag/history": {"items": [{"group": "archiver", "topic": "yards.events", "points": POINTS}]},
        }

    def body(self, asked: str) -> Any:
        """As the aggregator: a page of the rows that are asked for, here one row a page."""
        path, _, text = asked.partition("?")
        self.asked.append(path)
        if path == "/lag/history":
            return {**self.bodies[path], "next_cursor": None}
        if path != "/lag" or self.status != 200:
            return self.bodies[path]
        query = dict(parse_qsl(text))
        kept = {name: query[name] for name in ("group", "topic") if name in query}
        rows = [row for row in self.bodies[path]["items"] if kept.items() <= row.items()]
        first = int(query.get("cursor", "0"))
        following = str(first + 1) if len(rows) > first + 1 else None
        blocked = [each for each in self.bodies[path]["blocked"] if query.get("topic") in (None, each["topic"])]
        return {
            **self.bodies[path],
            "items": rows[first : first + 1],
            "next_cursor": following,
            "blocked": blocked,
        }


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    current = Answers()
    with serving(lambda _method, path, _body: (current.status, current.body(path))) as url:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("ATLAS_HEALTH_URL", url)
        yield current


def test_lag_as_json_has_every_row_and_field(answers: Answers) -> None:
    assert json.loads(run("lag", "--json")) == answers.bodies["/lag"]["items"]


def test_lag_of_one_group_or_topic(answers: Answers) -> None:
    assert [row["group"] for row in json.loads(run("lag", "--group", "archiver", "--json"))] == ["archiver"]
    assert [row["topic"] for row in json.loads(run("lag", "--topic", "hauls.events", "--json"))] == ["hauls.events"]
    assert "no group" in run("lag", "--group", "nobody")


def test_lag_as_a_table(answers: Answers) -> None:
    table = run("lag", "--partitions")
    for text in ("projector.hauls", "600.0", "no-members", "lag seconds", "committed"):
        assert text in table


def test_lag_sums_up_by_group_and_topic_worst_first(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {**ROW, "partition": 1, "lag_records": 5, "lag_seconds": 30.0, "state": "lagging"}
    unknown = {**ROW, "group": "archiver", "lag_records": 1, "lag_seconds": None, "state": "lagging"}
    answers.bodies["/lag"]["items"] = [ROW, more, unknown]
    monkeypatch.setenv("COLUMNS", "80")
    assert [line.split() for line in run("lag").splitlines()] == [
        ["group", "topic", "partitions", "records", "seconds", "state"],
        ["projector.hauls", "hauls.events", "2", "7", "600.0", "no-members"],
        ["archiver", "hauls.events", "1", "1", "lagging"],
    ]


def test_lag_has_the_status_of_the_worst_partition(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(group: str, *statuses: str | None) -> list[dict[str, Any]]:
        return [{**ROW, "group": group, "partition": n, "status": status} for n, status in enumerate(statuses)]

    answers.bodies["/lag"]["items"] = [
        *rows("a", "ok", "falling-behind", "stopped"),
        *rows("b", "ok", "ok"),
        *rows("c", "ok", None),
        *rows("d", None, "catching-up"),
        *rows("e", "of a later version"),
    ]
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.split() for line in run("lag").splitlines()]
    assert lines[0][-2:] == ["state", "status"]
    assert [line[-1] for line in lines[1:]] == ["stopped", "ok", "no-members", "catching-up", "no-members"]
    assert "falling-behind" in run("lag", "--partitions")


def test_a_narrow_table_of_partitions_does_without_offsets(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    long = {**ROW, "group": "projector.departures", "topic": "hauls.reference"}
    answers.bodies["/lag"]["items"] = [long]
    monkeypatch.setenv("COLUMNS", "80")
    table = run("lag", "--partitions")
    assert "committed" not in table
    assert "projector.departures  hauls.reference" in table
    assert max(map(len, table.splitlines())) <= 80


def test_lag_names_what_blocks_a_partition(answers: Answers) -> None:
    text = "blocked by a transaction since 2026-01-01T00:00:00.000Z, of transactional id etl\x1b"
    answers.bodies["/lag"]["blocked"] = [{"topic": "hauls.events", "partition": 2, "records": 200, "text": text}]
    said = run("lag")
    assert "hauls.events/2: blocked by a transaction since 2026-01-01T00:00:00.000Z" in said
    assert "etl\\x1b, which holds back 200 records; docs/runbooks/" in said
    assert "blocked by" not in run("lag", "--topic", "yards.events")


def test_health_as_json_and_as_a_table(answers: Answers) -> None:
    assert json.loads(run("health", "--json")) == MESH
    table = run("health")
    for text in ("relay", "DOWN", "no heartbeat"):
        assert text in table
    answers.bodies["/health/mesh"] = {**MESH, "silence": "no heartbeat arrives"}
    assert "nobody can be judged: no heartbeat arrives" in run("health")


def test_an_aggregator_that_is_away_or_fails_is_one_line(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers.status, answers.bodies["/lag"] = 503, {"error": "kafka is away"}
    with pytest.raises(CommandError, match=r"answered 503: .*kafka is away"):
        run("lag")
    monkeypatch.setenv("ATLAS_HEALTH_URL", "http://127.0.0.1:1")
    with pytest.raises(CommandError, match="does not answer"):
        run("health")


def test_history_as_a_table_and_as_json(answers: Answers) -> None:
    assert json.loads(run("lag", "--history", "1d", "--json")) == [
        {"group": "archiver", "topic": "yards.events", "points": POINTS}
    ]
    header, line = run("lag", "--history", "30m", "--group", "archiver").splitlines()
    assert header.split() == ["group", "topic", "most", "records", "most", "seconds", "records", "lag"]
    assert line.split() == ["archiver", "yards.events", "9", "30.5", "2", "_" * 19 + "█"]
    answers.bodies["/lag/history"] = {"items": []}
    assert run("lag", "--history", "30m") == "no lag was seen in the last 30m\n"
    with pytest.raises(CommandError, match="--history 8d: not a span"):
        run("lag", "--history", "8d")


def test_watching_goes_on_until_ctrl_c_and_ends_well(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice looked, two rows a look; a lone interrupt is how it ends: exit code 0."""
    monkeypatch.setattr(lag_watch, "EVERY_S", 0.01)

    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while answers.asked.count("/lag") < 6 and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        signal.raise_signal(signal.SIGINT)

    for arguments in ([], ["--json"]):
        answers.asked.clear()
        thread = threading.Thread(target=interrupt)
        thread.start()
        lines = run("lag", "--watch", *arguments).splitlines()
        thread.join()
        assert len(lines) >= 3
        assert "/lag/history" in answers.asked
        if arguments:
            first = json.loads(lines[0])["items"]
            assert [(each["group"], each["records"], each["state"]) for each in first] == [
                ("projector.hauls", 2, "no-members"),
                ("archiver", 2, "no-members"),
            ]
        else:
            assert lines[0].endswith("Z projector.hauls hauls.events  records 2  seconds 600.0  no-members")


def test_one_way_of_showing_at_a_time(answers: Answers) -> None:
    with pytest.raises(CommandError, match="one of them at a time"):
        run("lag", "--watch", "--history", "1h")
    answers.status = 503
    with pytest.raises(CommandError, match="answered 503"):
        run("lag", "--watch")
