"""Which topics may be posted to."""

import pytest
from atlas_contracts.registry import Registry
from atlas_contracts.topics import Source
from atlas_gateway.posting.topic_access import describe_access, open_topic, open_topics
from atlas_http.problems import Problem

from tests.contexts import SCHEMAS

REGISTRY = Registry.load(SCHEMAS)


@pytest.mark.parametrize("name", list(REGISTRY.topics))
def test_a_topic_is_open_when_its_events_come_from_anybody(name: str) -> None:
    topic = REGISTRY.topics[name]
    if topic.source is Source.ANY:
        assert open_topic(REGISTRY, name) is topic
        return
    with pytest.raises(Problem, match=name) as raised:
        open_topic(REGISTRY, name)
    assert (raised.value.kind.slug, raised.value.kind.status) == ("topic-closed", 403)
    assert raised.value.members["source"] == topic.source
    assert raised.value.members["open_topics"] == [each.name for each in open_topics(REGISTRY.topics.values())]


def test_an_unknown_topic_is_another_matter() -> None:
    with pytest.raises(Problem) as raised:
        open_topic(REGISTRY, "nothing")
    assert raised.value.kind.slug == "unknown-topic"


def test_the_documentation_names_the_closed_ones() -> None:
    opened = [topic for topic in REGISTRY.topics.values() if topic.source is Source.ANY]
    assert describe_access(opened) == "Every topic takes posts."
    closed = describe_access(REGISTRY.topics.values())
    assert closed.startswith("Not health.heartbeats (mesh), health.events (mesh), health.canary-commands (outbox), ")
    assert "yards.events (outbox): their events" in closed
