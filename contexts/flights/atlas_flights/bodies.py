"""What the departure board answers."""

from typing import Literal

from atlas_http.rows import Time
from pydantic import BaseModel


class BoardFlight(BaseModel):
    """A flight on a departure board; the delay is null where it never left."""

    flight_id: str
    carrier: str
    flight_number: int
    destination: str
    scheduled_departure: Time
    status: Literal["departed", "cancelled"]
    departure_delay_minutes: int | None


class Board(BaseModel):
    """The latest flights of an airport, the latest scheduled first."""

    airport: str
    items: list[BoardFlight]
