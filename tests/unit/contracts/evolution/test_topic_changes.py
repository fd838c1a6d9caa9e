"""Changes that what is on a topic does not follow."""

from dataclasses import replace
from pathlib import Path

import pytest
from atlas_contracts.evolution.topic_changes import topic_changes
from atlas_contracts.topics import Topic, read_topics

TEXT = """\
topics:
  a.events: {key: {a.X: x_id, a.Y: n}, events: [a.X, a.Y], partitions: 3, retention: 12h}
  b.events: {key: id, events: [b.Z], partitions: 2, retention: forever}
"""


@pytest.fixture
def before(tmp_path: Path) -> dict[str, Topic]:
    (tmp_path / "topics.yaml").write_text(TEXT)
    return read_topics(tmp_path / "topics.yaml")


def test_what_only_grows_is_fine(before: dict[str, Topic]) -> None:
    assert topic_changes(before, before) == []
    a = before["a.events"]
    grown = replace(a, events=(*a.events, "a.W"), key={**a.key, "a.W": "x_id"}, partitions=6, retention_ms=1)
    assert (
        topic_changes(before, {**before, "a.events": grown, "c.events": replace(a, name="c.events", events=())}) == []
    )


def test_a_renamed_topic_is_named_with_what_to_do(before: dict[str, Topic]) -> None:
    renamed = replace(before["a.events"], name="people.events")
    (line,) = topic_changes(before, {"b.events": before["b.events"], "people.events": renamed})
    assert line.startswith("topics.yaml: a.events was renamed to people.events; what was written stays on a.events")
    assert "`atlas replay a.events --to people.events`" in line


def test_a_topic_that_is_gone_with_its_events_is_named(before: dict[str, Topic]) -> None:
    (line,) = topic_changes(before, {"b.events": before["b.events"]})
    assert line.startswith("topics.yaml: a.events is gone")


def test_an_event_keeps_its_topic_and_its_key(before: dict[str, Topic]) -> None:
    a, b = before["a.events"], before["b.events"]
    moved = {"a.events": replace(a, events=("a.X",)), "b.events": replace(b, events=("b.Z", "a.Y"))}
    assert topic_changes(before, moved) == [
        "topics.yaml: a.Y went from a.events to b.events; its history does not: put it back"
    ]
    keyed = {**before, "a.events": replace(a, key={**a.key, "a.Y": "m"})}
    assert topic_changes(before, keyed) == [
        "topics.yaml: a.events: the key of a.Y was n and is m; what is there keeps the old one: put it back"
    ]


def test_partitions_are_only_added(before: dict[str, Topic]) -> None:
    fewer = {**before, "a.events": replace(before["a.events"], partitions=2)}
    (line,) = topic_changes(before, fewer)
    assert "had 3 partitions and now has 2" in line
