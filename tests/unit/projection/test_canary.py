"""The read model of canaries: bounded, each of them named, and declared as the projector wants it."""

from typing import Any

from atlas_contracts.canary import RECENT
from atlas_contracts.registry import Registry
from atlas_projection.canary import CANARIES, came
from atlas_projector.declared import faults

from tests.contexts import SCHEMAS

META: Any = None


def test_it_fits_what_is_declared_of_topics_and_schemas() -> None:
    assert faults([CANARIES], Registry.load(SCHEMAS)) == {}


def test_a_row_names_the_last_that_came_and_no_more() -> None:
    row = None
    for number in range(RECENT + 10):
        row = came(row, {"canary_id": "me.event", "number": number}, META)
    assert row == {"canary_id": "me.event", "recent": list(range(10, RECENT + 10))}


def test_one_that_did_not_come_is_not_named_by_those_after_it() -> None:
    row = came(came(None, {"canary_id": "a", "number": 1}, META), {"canary_id": "a", "number": 3}, META)
    assert row["recent"] == [1, 3]
