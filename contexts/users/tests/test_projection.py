from typing import Any

from atlas_projection.given import Given, event, given
from atlas_users.projection import USERS


def registered(sequence: int = 1, **changed: Any) -> Given:
    value: dict[str, Any] = {
        "user_id": "u1",
        "email": "ann@example.com",
        "display_name": "Ann",
        "country": "CH",
        "registered_at": 1000,
    }
    return event("users.UserRegistered", sequence=sequence, **value | changed)


def changed(sequence: int = 2, **changed: Any) -> Given:
    value: dict[str, Any] = {
        "user_id": "u1",
        "email": "ann@new.org",
        "display_name": "Ann B.",
        "country": None,
        "changed_at": 2000,
    }
    return event("users.UserProfileChanged", sequence=sequence, **value | changed)


def deactivated(sequence: int = 3) -> Given:
    return event("users.UserDeactivated", sequence=sequence, user_id="u1", reason=None, deactivated_at=3000)


def test_registered() -> None:
    given(USERS).when(registered()).then(
        {
            "user_id": "u1",
            "email": "ann@example.com",
            "display_name": "Ann",
            "country": "CH",
            "status": "active",
            "registered_at": 1000,
            "updated_at": 1000,
            "version": 1,
        }
    )


def test_profile_changed() -> None:
    given(USERS).events(registered()).when(changed()).then(
        {"email": "ann@new.org", "display_name": "Ann B.", "country": None, "updated_at": 2000, "version": 2}
        | {"registered_at": 1000, "status": "active"}
    )


def test_deactivated() -> None:
    given(USERS).events(registered(), changed()).when(deactivated()).then(
        {"status": "deactivated", "email": "ann@new.org", "updated_at": 3000, "version": 3}
    )


def test_a_version_that_came_before_changes_nothing() -> None:
    scenario = given(USERS).events(registered(), changed(2), deactivated(3)).when(changed(2, email="late@x"))
    scenario.then({"email": "ann@new.org", "status": "deactivated", "version": 3})
    assert (scenario.repeated, scenario.missing) == (1, 0)


def test_a_version_that_comes_early_waits_for_the_ones_before() -> None:
    scenario = given(USERS).events(registered()).when(deactivated(3)).then({"status": "active", "version": 1})
    scenario.when(changed(2)).then({"status": "deactivated", "email": "ann@new.org", "version": 3})
    assert (scenario.reordered, scenario.missing) == (1, 0)


def test_a_version_that_never_came_is_counted() -> None:
    scenario = given(USERS).events(registered()).when(deactivated(5)).waited_long_enough()
    scenario.then({"status": "deactivated", "version": 5})
    assert scenario.missing == 3


def test_a_change_of_nobody_is_rejected() -> None:
    for nobody in (changed(2), deactivated(2)):
        scenario = given(USERS).when(nobody).waited_long_enough().then(None)
        assert len(scenario.rejected) == 1
        assert "u1" in scenario.rejected[0]


def test_an_event_without_a_version_is_rejected() -> None:
    scenario = given(USERS).when(event("users.UserRegistered", **registered().value)).then(None)
    assert scenario.rejected == ["it has no ce_sequence header, so its place in the entity's history is unknown"]
    # It is no part of the history, so what the owner says is not held back by it.
    scenario.when(registered(), changed(2)).then({"email": "ann@new.org", "version": 2})
