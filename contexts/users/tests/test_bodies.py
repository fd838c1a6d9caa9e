"""What a command's body may be."""

import pytest
from atlas_users.bodies import ChangeProfile, DeactivateUser, RegisterUser
from pydantic import ValidationError

GOOD = {"email": "ada@example.org", "display_name": "Ada Lovelace"}


def test_an_address_is_kept_in_lower_case() -> None:
    assert RegisterUser.model_validate(GOOD | {"email": "Ada.L+x@Example.ORG"}).email == "ada.l+x@example.org"


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example",
        "a b@example.org",
        "ada@-x.org",
        f"{'a' * 65}@x.org",
        "a@x.org\n",
    ],
)
def test_what_is_no_address(email: str) -> None:
    with pytest.raises(ValidationError):
        RegisterUser.model_validate(GOOD | {"email": email})


@pytest.mark.parametrize("name", ["A", "x" * 100, "Zoë 佐藤", " Ada", "🙂"])
def test_what_is_a_name(name: str) -> None:
    assert RegisterUser.model_validate(GOOD | {"display_name": name}).display_name == name


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b", "a\nb", "a\x7f", "a\x85b", "a\u2028b"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError):
        RegisterUser.model_validate(GOOD | {"display_name": name})


@pytest.mark.parametrize("country", ["gb", "GBR", "G1", "", 7])
def test_what_is_no_country(country: object) -> None:
    with pytest.raises(ValidationError):
        RegisterUser.model_validate(GOOD | {"country": country})


def test_a_change_says_what_it_changes_and_no_more() -> None:
    assert ChangeProfile.model_validate({"country": None}).model_fields_set == {"country"}
    assert ChangeProfile.model_validate({}).model_fields_set == set()
    with pytest.raises(ValidationError):
        ChangeProfile.model_validate({"email": None})


def test_a_reason_may_have_lines_but_no_control_characters() -> None:
    assert DeactivateUser.model_validate({"reason": "a\nb\tc"}).reason == "a\nb\tc"
    with pytest.raises(ValidationError):
        DeactivateUser.model_validate({"reason": "a\x00"})
