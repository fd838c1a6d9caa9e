"""What people send to the commands of yards."""

from typing import Annotated, Any

from atlas_http.bodies import Body
from pydantic import Field, StringConstraints

_ADDRESS = r"^[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
_TEXT = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
Email = Annotated[
    str,
    StringConstraints(max_length=254, to_lower=True, pattern=_ADDRESS),
    Field(description="An e-mail address, kept in lower case"),
]
Name = Annotated[str, StringConstraints(max_length=100, pattern=_TEXT)]
Country = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] | None
Reason = Annotated[str, StringConstraints(max_length=500, pattern=_TEXT)] | None


def _left_out(schema: dict[str, Any]) -> None:
    del schema["default"]  # it only marks the field as left out; it is no value of the field


class RegisterYard(Body):
    """A new yard."""

    email: Email
    display_name: Name
    country: Country = None


class ChangeProfile(Body):
    """What is to change (RFC 7396): a field left out stays as it is; country null takes it away."""

    display_name: Name = Field(default="", json_schema_extra=_left_out)
    country: Country = None


class DeactivateYard(Body):
    """Why the yard is closed."""

    reason: Reason = None
