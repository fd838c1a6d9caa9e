"""A version is trusted only from its entity's owner."""

from dataclasses import replace

import pytest
from atlas_contracts.registry import Registry
from atlas_contracts.topics import Source
from atlas_projector.owners import NotOwned, check_owners
from atlas_yards.projection import YARDS

from tests.contexts import SCHEMAS
from tests.neutral import PROJECTIONS

TOPICS = Registry.load(SCHEMAS).topics


def test_the_projections_that_are_there_trust_owners_alone() -> None:
    check_owners(PROJECTIONS, TOPICS)


@pytest.mark.parametrize("name", list(TOPICS))
def test_a_versioned_projection_is_refused_over_any_topic_but_the_outbox_s(name: str) -> None:
    projection = replace(YARDS, name="bookings", topics=("yards.events", name))
    if TOPICS[name].source is Source.OUTBOX:
        check_owners([projection], TOPICS)
        return
    with pytest.raises(NotOwned, match=rf"projection bookings is `versioned`.*{name} `source: {TOPICS[name].source}`"):
        check_owners([*PROJECTIONS, projection], TOPICS)
    check_owners([replace(projection, versioned=None)], TOPICS)


def test_each_fault_is_named_and_an_undeclared_topic_is_none_of_them() -> None:
    bad = [replace(YARDS, name=name, topics=("hauls.events", "not.declared")) for name in ("one", "two")]
    with pytest.raises(NotOwned) as raised:
        check_owners(bad, TOPICS)
    assert "projection one" in str(raised.value)
    assert "projection two" in str(raised.value)
    assert "not.declared" not in str(raised.value)
