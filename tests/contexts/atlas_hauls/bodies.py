"""What the departure board answers."""

from typing import Literal

from atlas_http.rows import Time
from pydantic import BaseModel


class BoardHaul(BaseModel):
    """A haul on a departure board; the delay is null where it never left."""

    haul_id: str
    carrier: str
    haul_number: int
    destination: str
    scheduled_departure: Time
    status: Literal["departed", "cancelled"]
    departure_delay_minutes: int | None


class Board(BaseModel):
    """The latest hauls of a depot, the latest scheduled first."""

    depot: str
    items: list[BoardHaul]
