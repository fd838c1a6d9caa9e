"""The departure board of a depot: what no declaration says, because each partition has a part of the board."""

from typing import Annotated

from aiohttp import web
from atlas_hauls.projections.departures import BOARD_HAULS, order
from atlas_http import consistency, lists
from atlas_http.problems import NOT_FOUND, Problem
from atlas_http.resources import RESOURCES
from atlas_http.routes import Route, answer
from atlas_http.rows import Time, shown
from pydantic import BaseModel, Field


class BoardQuery(BaseModel, extra="forbid"):
    """How much of a board."""

    limit: Annotated[int, Field(ge=1, le=BOARD_HAULS)] = 10
    token: str | None = None


class BoardHaul(BaseModel):
    """A haul on a board."""

    haul_id: str
    destination: str
    scheduled_departure: Time
    departure_delay_minutes: int | None


class Board(BaseModel):
    """The latest hauls of a depot, the latest scheduled first."""

    depot: str
    items: list[BoardHaul]


async def get_departures(request: web.Request) -> web.Response:
    """The latest hauls of a depot, of all partitions."""
    depot, limit = lists.path_id(request, "depot", "depot"), lists.asked(request, BoardQuery).limit
    await consistency.wait(request, "departures")
    boards = await request.app[RESOURCES].reader.documents("departures", (depot,))
    latest = sorted((haul for board in boards for haul in board["hauls"]), key=order)[: -limit - 1 : -1]
    if not latest:
        raise Problem(NOT_FOUND, f"No haul has left {depot}.")
    return lists.entity(request, {"depot": depot, "items": [shown(haul, BoardHaul) for haul in latest]})


_PARAMETERS = (*lists.path_parameters("depot"), *lists.parameters(BoardQuery), *consistency.PARAMETERS)
_ANSWER = answer(200, "The board", Board, headers={"ETag": "Of the board; for If-None-Match"})
ROUTES = (
    Route("GET", "/departures/{depot}", get_departures, "hauls", "The departure board of a depot",
          _PARAMETERS, responses=_ANSWER, problems=(404, 422, 503)),
)  # fmt: skip
