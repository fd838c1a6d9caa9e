"""The base of what a command takes."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request body: JSON types as they are, no field that is not declared."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
