"""A worker finds the projection it is told to fill."""

import pytest
from atlas_projector.projections.users import USERS
from atlas_projector.worker import find


def test_found_by_name() -> None:
    assert find("atlas_projector.projections:PROJECTIONS", "users") is USERS


def test_one_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="no projection nobody in atlas_projector"):
        find("atlas_projector.projections:PROJECTIONS", "nobody")
