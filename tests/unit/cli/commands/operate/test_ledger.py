"""`atlas ledger`: a table of 80 columns, and an exit code that says whether all is well."""

import json
from typing import Any

import pytest
from atlas_cli.commands.operate import ledger as module
from atlas_cli.terminal.output import CommandError
from atlas_ledger.audit import Ledger
from atlas_ledger.lines import Line
from atlas_outbox.by_topic import TopicRows

from tests.unit.cli.commands.serving import run

OUTCOMES = {"projected": 1_200_000, "dead_lettered": 2, "dropped": 1, "skipped": 1, "waiting": 3}


def line(partition: int, unaccounted: int = 0, *, exact: bool = True) -> Line:
    topic, group = "bookings.events", "projector.bookings-by-customer"
    return Line(topic, partition, group, 9, 1_300_000, 4, exact, OUTCOMES, unaccounted, 5, "1 record never reached it")


def taken(monkeypatch: pytest.MonkeyPatch, *lines: Line) -> None:
    async def take(_settings: object, _topic: str | None) -> Ledger:
        return Ledger(1_700_000_000_000, lines, [TopicRows("bookings.events", 7, 1, 3.2)])

    monkeypatch.setattr(module, "_take", take)


def test_a_row_is_a_topic_and_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    taken(monkeypatch, line(0), line(1, exact=False))
    out = run("ledger")
    assert all(len(each) <= 80 for each in out.splitlines()), out
    assert "2400000" in out
    assert "≤8" in out
    assert "outbox, bookings.events: 7 rows wait since 3 s, 1 are parked" in out


def test_a_row_is_a_partition_where_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    taken(monkeypatch, line(0), line(1))
    assert run("ledger", "--partitions").count("projector.bookings-by-customer") == 2


def test_what_is_unaccounted_for_ends_it_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    taken(monkeypatch, line(1, unaccounted=1), line(0))
    with pytest.raises(CommandError, match="1 records are unaccounted for; docs/runbooks"):
        run("ledger")


def test_json_has_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    taken(monkeypatch, line(0), line(1))
    found: dict[str, Any] = json.loads(run("ledger", "--json"))
    assert (found["unaccounted"], len(found["lines"]), found["outbox"][0]["waiting"]) == (0, 2, 7)
    assert found["lines"][0]["outcomes"] == OUTCOMES
