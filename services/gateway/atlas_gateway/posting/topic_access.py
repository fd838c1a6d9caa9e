"""Which topics events may be posted to: those whose `source` is `any`."""

from collections.abc import Iterable

from atlas_contracts.registry import Registry
from atlas_contracts.topics import Source, Topic
from atlas_http.problems import TOPIC_CLOSED, UNKNOWN_TOPIC, Problem

_WHY = {
    Source.OUTBOX: (
        "come from the outbox alone: a command writes each beside the state it tells of, with the entity's version",
        "Send the command that changes the state; /docs lists them.",
    ),
    Source.MESH: (
        "come from the services of the mesh alone",
        "Read them at the health-aggregator's /health/mesh and /lag; nobody else has to say them.",
    ),
}


def open_topic(registry: Registry, name: str) -> Topic:
    """The topic, when events may be posted to it; else a 404 problem, or a 403 one that says why and what to do.

    It is decided before anything of the body is read, so no form, header or attribute of an event can matter.
    """
    try:
        topic = registry.topics[name]
    except KeyError:
        known = list(registry.topics)
        raise Problem(UNKNOWN_TOPIC, f"There is no topic {name}; there are {', '.join(known)}.", topics=known) from None
    if topic.source is not Source.ANY:
        why, instead = _WHY[topic.source]
        raise Problem(
            TOPIC_CLOSED,
            f"Events of {name} {why}. {instead}",
            topic=name,
            source=topic.source.value,
            open_topics=[other.name for other in open_topics(registry.topics.values())],
        )
    return topic


def open_topics(topics: Iterable[Topic]) -> list[Topic]:
    """Those that events may be posted to."""
    return [topic for topic in topics if topic.source is Source.ANY]


def describe_access(topics: Iterable[Topic]) -> str:
    """One sentence on every topic that takes no posts, for the documentation."""
    closed = [f"{topic.name} ({topic.source})" for topic in topics if topic.source is not Source.ANY]
    if not closed:
        return "Every topic takes posts."
    return f"Not {', '.join(closed)}: their events come from the outbox or from the mesh itself, and posts get a 403."
