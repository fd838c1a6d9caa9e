"""A worker finds the projection it is told to fill."""

import pytest
from atlas_projector.rebuilding.worker import find
from atlas_yards.projection import YARDS


@pytest.mark.parametrize("place", ["", "atlas_yards.projection:PROJECTIONS"])
def test_found_by_name(place: str) -> None:
    assert find(place, "yards") is YARDS


def test_one_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="no projection nobody in atlas_yards"):
        find("atlas_yards.projection:PROJECTIONS", "nobody")
    with pytest.raises(LookupError, match="no projection nobody in any context"):
        find("", "nobody")
