"""The departure board of an airport: what no declaration says, because each partition has a part of the board."""

from typing import Annotated

from aiohttp import web
from atlas_http import lists
from atlas_http.consistency import PARAMETERS as TOKEN_PARAMETERS
from atlas_http.consistency import wait
from atlas_http.problems import NOT_FOUND, Problem
from atlas_http.resources import RESOURCES
from atlas_http.routes import Route, answer
from atlas_http.rows import shown
from pydantic import BaseModel, ConfigDict, Field

from atlas_flights.bodies import Board, BoardFlight


class BoardQuery(BaseModel):
    """How much of a board."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=20, description="How many at most: a whole number from 1 to 20")] = 10
    token: str | None = None


async def get_departures(request: web.Request) -> web.Response:
    """The latest flights of an airport, the latest first."""
    asked = lists.asked(request, BoardQuery)
    airport = lists.path_id(request, "airport", "airport")
    await wait(request, "departures")
    boards = await request.app[RESOURCES].reader.documents("departures", (airport,))
    if not boards:
        raise Problem(NOT_FOUND, f"No flight has left {airport}.")
    flights = [flight for board in boards for flight in board["flights"]]
    flights.sort(key=lambda flight: (flight["scheduled_departure"], flight["flight_id"]), reverse=True)
    items = [shown(flight, BoardFlight) for flight in flights[: asked.limit]]
    return lists.entity(request, {"airport": airport, "items": items})


ROUTES = (
    Route("GET", "/departures/{airport}", get_departures, "flights", "The departure board of an airport",
          (*lists.path_parameters("airport"), *lists.parameters(BoardQuery), *TOKEN_PARAMETERS),
          responses=answer(200, "The board", Board, headers={"ETag": "Of the board; for If-None-Match"}),
          problems=(404, 422, 503)),
)  # fmt: skip
