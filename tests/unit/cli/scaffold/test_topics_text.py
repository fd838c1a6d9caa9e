"""topics.yaml is edited line by line: what people wrote stays; a topic that is added and taken out leaves nothing."""

import pytest
from atlas_cli.scaffold.topics_text import NotEditable, with_event, with_topic, without_event, without_topic
from atlas_local.home import ROOT

TEXT = """\
# What people wrote.
topics:
  a.events:  # of a
    key: a_id  # its key
    events: [a.One, "a.Two"]  # both
    partitions: 4

  # b is here for c
  "b.events":
    key:
      b.One: x
    events:
      - b.One
    partitions: 1
"""


def test_a_topic_more_and_less() -> None:
    more = with_topic(TEXT, "c.events", "c_id", ["c.One"], "any")
    assert more.startswith(TEXT)
    assert "  c.events:\n    source: any\n    key: c_id\n    events: [c.One]\n" in more
    assert without_topic(more, "c.events") == TEXT
    assert "source" not in with_topic(TEXT, "c.events", "c_id", ["c.One"], "outbox")


def test_an_event_more_and_less() -> None:
    more = with_event(TEXT, "a.events", "a.Three")
    assert "    events: [a.One, a.Two, a.Three]  # both\n" in more
    assert without_event(more, "a.events", "a.Three") == TEXT.replace('"a.Two"', "a.Two")


def test_a_topic_goes_with_all_that_is_said_of_it_and_no_more() -> None:
    less = without_topic(TEXT, "b.events")
    assert less.endswith("    partitions: 4\n\n  # b is here for c\n")
    assert without_topic(TEXT, "a.events").startswith("# What people wrote.\ntopics:\n\n  # b is here")


def test_what_is_written_in_another_way_is_left_to_people() -> None:
    with pytest.raises(NotEditable, match=r"add b.Two to the events of b.events in topics.yaml by hand"):
        with_event(TEXT, "b.events", "b.Two")
    with pytest.raises(NotEditable, match=r"take the topic d.events out"):
        without_topic(TEXT, "d.events")


def test_every_topic_of_the_repository_can_be_taken_out() -> None:
    text = (ROOT / "schemas/topics.yaml").read_text()
    for line in text.splitlines():
        if line.startswith("  ") and line[2] not in " #":
            name = line.strip().rstrip(":")
            assert f"  {name}:\n" not in without_topic(text, name)
