"""What people send to the commands of yards and get back: strict and without surprises."""

from typing import Annotated, Any, Literal

from atlas_http.bodies import Body
from atlas_http.rows import Time
from pydantic import BaseModel, BeforeValidator, Field

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The address form of HTML's <input type=email>, with a dot required: what mail systems accept in practice.
_EMAIL = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+$"


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]  # it only marks the field as left out; it is no value of the field


Email = Annotated[
    str,
    # Before the validator, or the schema would not show the limits.
    Field(max_length=254, pattern=_EMAIL),
    BeforeValidator(_lower),
    Field(
        description="An e-mail address of at most 254 characters; unique, kept in lower case",
        examples=["ada@example.org"],
    ),
]
DisplayName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=rf"^[^{_CONTROL}]*[^{_CONTROL}\s][^{_CONTROL}]*$",
        description="What others see: 1 to 100 characters, not all blank, no control characters",
        examples=["Ada Lovelace"],
    ),
]
Country = Annotated[
    Annotated[str, Field(pattern="^[A-Z]{2}$")] | None,
    Field(description="ISO 3166-1 alpha-2, upper case; null when not given", examples=["GB"]),
]
Reason = Annotated[
    Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")] | None,
    Field(description="In the person's own words, up to 500 characters; null when not given"),
]


class RegisterYard(Body):
    """A new yard."""

    email: Email
    display_name: DisplayName
    country: Country = None


class ChangeProfile(Body):
    """What is to change (RFC 7396): a field left out stays as it is; country null takes it away."""

    email: Email = Field(default="", json_schema_extra=_without_default)
    display_name: DisplayName = Field(default="", json_schema_extra=_without_default)
    country: Country = None


class DeactivateYard(Body):
    """Why the account is closed."""

    reason: Reason = None


class Yard(BaseModel):
    """A yard; `version` is also the ETag."""

    yard_id: str
    email: str
    display_name: str
    country: str | None
    status: Literal["active", "deactivated"]
    version: int
    registered_at: Time
    updated_at: Time
