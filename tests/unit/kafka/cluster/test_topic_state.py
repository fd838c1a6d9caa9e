"""In words, how a topic is not as it is declared."""

import pytest
from atlas_kafka.cluster.admin import TopicSpec
from atlas_kafka.cluster.topic_state import TopicState, differences

DECLARED = TopicSpec("a.events", 4, {"retention.ms": "1000"})


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (None, ["it does not exist"]),
        (TopicState("id", 4, {"retention.ms": "1000", "other": "x"}, frozenset()), []),
        (TopicState("id", 2, {"retention.ms": "1000"}, frozenset()), ["partitions: 2, declared 4"]),
        (TopicState("id", 4, {"retention.ms": "5"}, frozenset()), ["retention.ms: 5, declared 1000"]),
        (TopicState("id", 9, {}, frozenset()), ["partitions: 9, declared 4", "retention.ms: None, declared 1000"]),
    ],
)
def test_differences(state: TopicState | None, found: list[str]) -> None:
    assert differences(DECLARED, state) == found
