"""Which topics carry canaries, whatever they are called."""

from atlas_contracts.canary import COMMANDED, POSTED, carriers
from atlas_contracts.registry import Registry

from tests.contexts import SCHEMAS


def test_their_topics_are_found_by_what_is_on_them() -> None:
    registry = Registry.load(SCHEMAS)
    assert carriers(registry.topics.values()) == {"health.canary-commands", "health.canary-events"}
    assert carriers([]) == set()
    assert {registry.topic_of(event).partitions for event in (COMMANDED, POSTED)} == {1}
