"""topics.yaml: what it says, and what is wrong with it."""

from pathlib import Path

import pytest
from atlas_contracts.errors import BrokenSchemas, UnknownSchema
from atlas_contracts.topics import FOREVER, Source, Topic, parse_retention, read_topics, topics_in

GOOD = """\
topics:
  a.events:
    key: {a.X: x_id, a.Y: n}
    events: [a.X, a.Y]
    partitions: 3
    retention: 12h
"""


def read(tmp_path: Path, text: str) -> dict[str, Topic]:
    path = tmp_path / "topics.yaml"
    path.write_text(text)
    return read_topics(path)


def test_a_topic_says_what_it_takes(tmp_path: Path) -> None:
    topic = read(tmp_path, GOOD)["a.events"]
    assert (topic.events, topic.partitions, topic.retention_ms) == (("a.X", "a.Y"), 3, 12 * 3_600_000)
    assert topic.dead_letter == "a.events.dlq"
    assert (topic.key_field("a.X"), topic.key_field("a.Y")) == ("x_id", "n")
    assert topic.key_of("a.Y", {"n": 7}) == b"7"
    assert topic.key_of("a.X", {"x_id": "ø"}) == "ø".encode()
    with pytest.raises(UnknownSchema, match=r"a\.Z does not belong on a\.events, which takes a\.X, a\.Y"):
        topic.key_field("a.Z")


def test_one_key_field_serves_every_event(tmp_path: Path) -> None:
    topic = read(tmp_path, GOOD.replace("{a.X: x_id, a.Y: n}", "id"))["a.events"]
    assert dict(topic.key) == {"a.X": "id", "a.Y": "id"}


def test_events_come_from_the_outbox_alone_where_nothing_is_said(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD)["a.events"].source is Source.OUTBOX


@pytest.mark.parametrize("source", list(Source))
def test_a_topic_says_where_its_events_come_from(tmp_path: Path, source: Source) -> None:
    assert read(tmp_path, GOOD + f"    source: {source}\n")["a.events"].source is source


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("forever", FOREVER), ("7d", 604_800_000), ("12h", 43_200_000), ("30m", 1_800_000), ("45s", 45_000)],
)
def test_retention_is_a_duration(text: str, milliseconds: int) -> None:
    assert parse_retention(text) == milliseconds


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "7 d", "7w", "1.5h", 30, None])
def test_any_other_retention_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="retention"):
        parse_retention(text)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("topics:", "topic:", "no `topics`"),
        ("topics:", "topics: [", "can't be read"),
        ("a.events:", "? [a, b]\n  :", "can't be read"),
        ("a.events:", "a.events.dlq:", "not a topic's name"),
        ("a.events:", "a/events:", "not a topic's name"),
        ("partitions: 3", "partitions: 0", "`partitions` is 0"),
        ("partitions: 3", "partitions: true", "`partitions` is True"),
        ("partitions: 3", "partition: 3", "unknown setting `partition`"),
        ("    partitions: 3\n", "", "no `partitions`"),
        ("events: [a.X, a.Y]", "events: []", "not a list"),
        ("events: [a.X, a.Y]", "events: [a.X, a.Y, a.X]", "twice"),
        ("a.Y: n", "a.Z: n", "no key field for a.Y"),
        ("a.Y: n", "a.Y: n, a.Z: n", "a key field for a.Z"),
        ("key: {a.X: x_id, a.Y: n}", "key: 5", "`key` is neither"),
        ("12h", "12w", "retention '12w'"),
        (
            "    partitions",
            "    source: anybody\n    partitions",
            "`source` is 'anybody', not one of outbox, mesh, any",
        ),
        ("    partitions", "    source: [any]\n    partitions", "`source` is ['any']"),
        ("    partitions", "    source:\n    partitions", "`source` is None"),
    ],
)
def test_each_fault_of_form_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(BrokenSchemas) as raised:
        read(tmp_path, GOOD.replace(old, new))
    assert any(fault in line for line in raised.value.faults), raised.value.faults


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BrokenSchemas, match="can't be read"):
        read_topics(tmp_path / "topics.yaml")


def test_a_topic_or_setting_that_stands_twice_is_named(tmp_path: Path) -> None:
    entry = "    key: id\n    events: [a.B]\n    partitions: 1\n    retention: 1d\n"
    path = tmp_path / "topics.yaml"
    for text, twice in (
        (f"topics:\n  a.events:\n{entry}  a.events:\n{entry}", "a.events"),
        (f"topics:\n  a.events:\n{entry}    retention: 2d\n", "retention"),
    ):
        path.write_text(text)
        with pytest.raises(BrokenSchemas, match=f"{twice} stands twice"):
            read_topics(path)


def test_what_is_done_about_a_topic_made_again_is_begin_or_stop(tmp_path: Path) -> None:
    entry = "topics:\n  a.events:\n    key: id\n    events: [a.B]\n    partitions: 1\n    retention: 1d\n"
    path = tmp_path / "topics.yaml"
    for setting, rule in (
        ("", "begin"),
        ("    when_recreated: begin\n", "begin"),
        ("    when_recreated: stop\n", "stop"),
    ):
        path.write_text(entry + setting)
        assert read_topics(path)["a.events"].when_recreated == rule
    path.write_text(entry + "    when_recreated: perhaps\n")
    with pytest.raises(BrokenSchemas, match="`when_recreated` is 'perhaps', not one of begin, stop"):
        read_topics(path)


def test_topics_are_those_of_the_folder_and_of_its_contexts(tmp_path: Path) -> None:
    entry = "    key: k\n    events: [%s]\n    partitions: 1\n    retention: 1d\n"
    (tmp_path / "zoo").mkdir()
    own, context = tmp_path / "topics.yaml", tmp_path / "zoo" / "topics.yaml"
    context.write_text("topics:\n  zoo.events:\n" + entry % "zoo.A")
    assert list(topics_in(tmp_path)) == ["zoo.events"]
    own.write_text("topics:\n  shop.events:\n" + entry % "shop.B")
    assert list(topics_in(tmp_path)) == ["shop.events", "zoo.events"]
    own.write_text("topics:\n  zoo.events:\n" + entry % "shop.B")
    with pytest.raises(BrokenSchemas, match=r"zoo/topics\.yaml: zoo\.events is declared in topics\.yaml too"):
        topics_in(tmp_path)
    context.write_text("topics: []\n")
    own.write_text("{")
    with pytest.raises(BrokenSchemas) as raised:
        topics_in(tmp_path)
    assert [fault.partition(":")[0] for fault in raised.value.faults] == ["topics.yaml", "zoo/topics.yaml"]


def test_a_folder_without_topics_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrokenSchemas, match=r"topics\.yaml: can't be read"):
        topics_in(tmp_path)
