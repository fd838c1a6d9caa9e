"""The base of what a command takes, and fields that PostgreSQL and the event can hold."""

from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

T = TypeVar("T")


class Body(BaseModel):
    """A request body: JSON types as they are, no field that is not declared."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _milliseconds(value: datetime) -> datetime:
    if value.microsecond % 1000:
        raise ValueError("expected no more than three digits of a second")
    return value


# Text without NUL, which PostgreSQL does not take.
Text = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")]
Int = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Long = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Many = Annotated[list[T], Field(max_length=1_000)]
# With an offset, as exact as `timestamp-millis` is.
Moment = Annotated[AwareDatetime, AfterValidator(_milliseconds)]
