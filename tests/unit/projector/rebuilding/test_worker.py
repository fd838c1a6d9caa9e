"""A worker finds the projection it is told to fill."""

import pytest
from atlas_projector.rebuilding.worker import find
from atlas_users.projection import USERS


@pytest.mark.parametrize("place", ["", "atlas_users.projection:PROJECTIONS"])
def test_found_by_name(place: str) -> None:
    assert find(place, "users") is USERS


def test_one_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="no projection nobody in atlas_users"):
        find("atlas_users.projection:PROJECTIONS", "nobody")
    with pytest.raises(LookupError, match="no projection nobody in any context"):
        find("", "nobody")
