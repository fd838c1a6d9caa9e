"""What those agree on who send, carry and show canaries: events that stand for others, to see how long those take."""

from collections.abc import Iterable

from atlas_contracts.topics import Topic

COMMANDED = "health.CanaryCommanded"
POSTED = "health.CanaryPosted"
READ_MODEL = "health_canaries"
# Commands are posted here, and the row of a canary_id is below it.
PATH = "/health/canaries"
# So many of the last canaries of each sender are in its row, and no more.
RECENT = 128


def carriers(topics: Iterable[Topic]) -> frozenset[str]:
    """The names of the topics that carry canaries."""
    return frozenset(topic.name for topic in topics if {COMMANDED, POSTED} & set(topic.events))
