"""The helper must be able to say no."""

import pytest
from atlas_projector.given import event, given
from atlas_projector.projections.flights import FLIGHTS
from atlas_projector.projections.users import USERS

REGISTERED = event(
    "users.UserRegistered", sequence=1, user_id="u1", email="a@x", display_name="A", country=None, registered_at=5
)


def test_a_wrong_expectation_fails() -> None:
    with pytest.raises(AssertionError, match="b@x"):
        given(USERS).when(REGISTERED).then({"email": "b@x"})


def test_a_row_that_should_not_be_there_fails() -> None:
    with pytest.raises(AssertionError, match="expected None"):
        given(USERS).when(REGISTERED).then(None)


def test_a_row_that_should_be_there_fails() -> None:
    with pytest.raises(AssertionError, match="the row is None"):
        given(USERS).when(REGISTERED).then({"email": "a@x"}, "u2")


def test_with_several_rows_one_has_to_be_named() -> None:
    other = event(
        "users.UserRegistered", sequence=1, user_id="u2", email="b@x", display_name="B", country=None, registered_at=5
    )
    with pytest.raises(AssertionError, match="say which row"):
        given(USERS).when(REGISTERED, other).then({"email": "a@x"})


def test_types_without_a_handler_are_passed_over() -> None:
    assert given(FLIGHTS).when(REGISTERED).rows == {}
