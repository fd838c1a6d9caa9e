"""The departure board of a depot: what no declaration says, because each partition has a part of the board."""

from typing import Annotated

from aiohttp import web
from atlas_hauls.bodies import Board, BoardHaul
from atlas_http import lists
from atlas_http.consistency import PARAMETERS as TOKEN_PARAMETERS
from atlas_http.consistency import wait
from atlas_http.problems import NOT_FOUND, Problem
from atlas_http.resources import RESOURCES
from atlas_http.routes import Route, answer
from atlas_http.rows import shown
from pydantic import BaseModel, ConfigDict, Field


class BoardQuery(BaseModel):
    """How much of a board."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=20, description="How many at most: a whole number from 1 to 20")] = 10
    token: str | None = None


async def get_departures(request: web.Request) -> web.Response:
    """The latest hauls of a depot, the latest first."""
    asked = lists.asked(request, BoardQuery)
    depot = lists.path_id(request, "depot", "depot")
    await wait(request, "departures")
    boards = await request.app[RESOURCES].reader.documents("departures", (depot,))
    if not boards:
        raise Problem(NOT_FOUND, f"No haul has left {depot}.")
    hauls = [haul for board in boards for haul in board["hauls"]]
    hauls.sort(key=lambda haul: (haul["scheduled_departure"], haul["haul_id"]), reverse=True)
    items = [shown(haul, BoardHaul) for haul in hauls[: asked.limit]]
    return lists.entity(request, {"depot": depot, "items": items})


ROUTES = (
    Route("GET", "/departures/{depot}", get_departures, "hauls", "The departure board of a depot",
          (*lists.path_parameters("depot"), *lists.parameters(BoardQuery), *TOKEN_PARAMETERS),
          responses=answer(200, "The board", Board, headers={"ETag": "Of the board; for If-None-Match"}),
          problems=(404, 422, 503)),
)  # fmt: skip
