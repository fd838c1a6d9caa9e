"""Queries over the read models. All of them heed an Atlas-Token."""

import hashlib
import re
from collections.abc import Awaitable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import hdrs, web
from atlas_readmodel.json_rows import dumps
from atlas_readmodel.pages import InvalidCursor, Page
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atlas_gateway import bodies
from atlas_gateway.consistency import PARAMETERS as TOKEN_PARAMETERS
from atlas_gateway.consistency import wait
from atlas_gateway.problems import NOT_FOUND, Problem, field_error, invalid, of_validation
from atlas_gateway.resources import RESOURCES
from atlas_gateway.routes import JSON, Part, Route, answer, path_parameter, query
from atlas_gateway.rows import shown

Q = TypeVar("Q", bound=BaseModel)

_ID = re.compile(r"[A-Za-z0-9._~:+-]{1,128}")

Airport = Annotated[str, Field(pattern="^[A-Z0-9]{3,4}$", description="FAA code of an airport, like JFK")]
Search = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f]+$",
        description="Part of e-mail or display name, 1 to 100 characters",
    ),
]
CarrierCode = Annotated[str, Field(pattern="^[A-Z0-9]{2,3}$", description="IATA code of an airline, like UA")]


class PageQuery(BaseModel):
    """What every list takes. `token` is read by the wait for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=500, description="How many at most: a whole number from 1 to 500")] = 50
    cursor: Annotated[str, Field(max_length=500, description="next_cursor of the page before")] | None = None
    token: str | None = None


class UserQuery(PageQuery):
    """Which users."""

    search: (
        Annotated[
            str,
            Field(
                min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$", description="Part of e-mail or display name"
            ),
        ]
        | None
    ) = None
    status: Annotated[Literal["active", "deactivated"], Field(description="active or deactivated")] | None = None


class FlightQuery(PageQuery):
    """Which flights."""

    origin: Airport | None = None
    destination: Airport | None = None
    carrier: CarrierCode | None = None


class BoardQuery(BaseModel):
    """How much of a board."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=20, description="How many at most: a whole number from 1 to 20")] = 10
    token: str | None = None


class RouteQuery(PageQuery):
    """Which routes."""

    origin: Airport | None = None
    destination: Airport | None = None


async def get_user(request: web.Request) -> web.Response:
    """One user; the ETag is the version to send in If-Match."""
    user_id = _id(request, "user_id", "user")
    fresh = await wait(request, "users")
    row = await request.app[RESOURCES].reader.user(user_id, cached=not fresh)
    if row is None:
        raise Problem(NOT_FOUND, f"There is no user {user_id}.")
    return _entity(request, shown(row, bodies.User), etag=f'"{row["version"]}"')


async def list_users(request: web.Request) -> web.Response:
    """Users, the latest registered first, page by page."""
    asked = _asked(request, UserQuery)
    await wait(request, "users")
    pending = request.app[RESOURCES].reader.users(asked.search, asked.status, asked.limit, asked.cursor)
    return await _page(pending, bodies.User)


async def get_flight(request: web.Request) -> web.Response:
    """One flight."""
    flight_id = _id(request, "flight_id", "flight")
    fresh = await wait(request, "flights")
    row = await request.app[RESOURCES].reader.flight(flight_id, cached=not fresh)
    if row is None:
        raise Problem(NOT_FOUND, f"There is no flight {flight_id}.")
    return _entity(request, shown(row, bodies.Flight))


async def list_flights(request: web.Request) -> web.Response:
    """Flights, the latest scheduled first, page by page."""
    asked = _asked(request, FlightQuery)
    await wait(request, "flights")
    reader = request.app[RESOURCES].reader
    pending = reader.flights(asked.origin, asked.destination, asked.carrier, asked.limit, asked.cursor)
    return await _page(pending, bodies.Flight)


async def list_routes(request: web.Request) -> web.Response:
    """Delay statistics by route, the busiest first, page by page."""
    asked = _asked(request, RouteQuery)
    await wait(request, "routes")
    wanted = {"origin": asked.origin, "destination": asked.destination}
    reader = request.app[RESOURCES].reader
    pending = reader.busiest("routes", ("origin", "destination"), wanted, asked.limit, asked.cursor)
    return await _page(pending, bodies.Route)


async def get_route(request: web.Request) -> web.Response:
    """Delay statistics of one route."""
    origin, destination = _id(request, "origin", "route"), _id(request, "destination", "route")
    await wait(request, "routes")
    rows = await request.app[RESOURCES].reader.routes(origin, destination)
    if not rows:
        raise Problem(NOT_FOUND, f"There is no flight from {origin} to {destination}.")
    return _entity(request, shown(rows[0], bodies.Route))


async def get_departures(request: web.Request) -> web.Response:
    """The latest flights of an airport, the latest first."""
    asked = _asked(request, BoardQuery)
    airport = _id(request, "airport", "airport")
    await wait(request, "departures")
    boards = await request.app[RESOURCES].reader.documents("departures", (airport,))
    if not boards:
        raise Problem(NOT_FOUND, f"No flight has left {airport}.")
    flights = [flight for board in boards for flight in board["flights"]]
    flights.sort(key=lambda flight: (flight["scheduled_departure"], flight["flight_id"]), reverse=True)
    items = [shown(flight, bodies.BoardFlight) for flight in flights[: asked.limit]]
    return _entity(request, {"airport": airport, "items": items})


async def list_carriers(request: web.Request) -> web.Response:
    """Delay statistics by carrier, the busiest first, page by page."""
    asked = _asked(request, PageQuery)
    await wait(request, "carriers")
    pending = request.app[RESOURCES].reader.busiest("carriers", ("carrier",), {}, asked.limit, asked.cursor)
    return await _page(pending, bodies.Carrier)


async def get_carrier(request: web.Request) -> web.Response:
    """Delay statistics of one carrier."""
    code = _id(request, "code", "carrier")
    await wait(request, "carriers")
    row = await request.app[RESOURCES].reader.carrier(code)
    if row is None:
        raise Problem(NOT_FOUND, f"There is no flight of the carrier {code}.")
    return _entity(request, shown(row, bodies.Carrier))


def _asked(request: web.Request, model: type[Q]) -> Q:
    """The query parameters, each at most once; a 422 problem with everything that is wrong."""
    repeated = sorted({name for name in request.query if len(request.query.getall(name)) > 1})
    if repeated:
        raise invalid(field_error(f"/{name}", "several values", "one value") for name in repeated)
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise invalid(of_validation(error, model), "The query parameters are not valid.") from None


def _id(request: web.Request, name: str, what: str) -> str:
    value = request.match_info[name]
    if _ID.fullmatch(value) is None:
        raise Problem(NOT_FOUND, f"There is no such {what}: that can't be an id.")
    return value


def _entity(request: web.Request, shown_row: Mapping[str, Any], etag: str | None = None) -> web.Response:
    body = dumps(shown_row)
    tag = etag or f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: "no-cache"}
    known = {part.strip().removeprefix("W/") for part in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")}
    if known & {tag, "*"}:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=JSON, headers=headers)


async def _page(pending: Awaitable[Page], model: type[BaseModel]) -> web.Response:
    try:
        page = await pending
    except InvalidCursor:
        raise invalid([field_error("/cursor", "no cursor of this list", "next_cursor of the page before")]) from None
    body = dumps({"items": [shown(row, model) for row in page.items], "next_cursor": page.next_cursor})
    return web.Response(body=body, content_type=JSON, headers={hdrs.CACHE_CONTROL: "no-cache"})


def _parameters(model: type[BaseModel]) -> tuple[Part, ...]:
    described = model.model_json_schema()["properties"]
    return tuple(
        query(name, _described(schema), _plain(schema)) for name, schema in described.items() if name != "token"
    )


def _plain(schema: Part) -> Part:
    """A parameter is there or not: its null branch is of no use to a caller."""
    branches = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    shape = branches[0] if branches else schema
    return {name: value for name, value in shape.items() if name not in ("title", "description")}


def _described(schema: Part) -> str:
    texts = [part["description"] for part in (schema, *schema.get("anyOf", [])) if "description" in part]
    return texts[0] if texts else ""


def _path(*names: str) -> tuple[Part, ...]:
    return tuple(path_parameter(name, {"type": "string"}) for name in names)


_CACHED = {"ETag": "Of the representation; for If-None-Match"}

ROUTES = (
    Route("GET", "/users/{user_id}", get_user, "users", "Get a user", (*_path("user_id"), *TOKEN_PARAMETERS),
          responses=answer(200, "The user", bodies.User, headers=_CACHED), problems=(404, 422, 503)),
    Route("GET", "/users", list_users, "users", "List and search users", (*_parameters(UserQuery), *TOKEN_PARAMETERS),
          responses=answer(200, "A page", bodies.UserPage), problems=(422, 503)),
    Route("GET", "/flights/{flight_id}", get_flight, "flights", "Get a flight",
          (*_path("flight_id"), *TOKEN_PARAMETERS),
          responses=answer(200, "The flight", bodies.Flight, headers=_CACHED), problems=(404, 422, 503)),
    Route("GET", "/flights", list_flights, "flights", "List flights", (*_parameters(FlightQuery), *TOKEN_PARAMETERS),
          responses=answer(200, "A page", bodies.FlightPage), problems=(422, 503)),
    Route("GET", "/routes", list_routes, "flights", "List routes", (*_parameters(RouteQuery), *TOKEN_PARAMETERS),
          responses=answer(200, "A page", bodies.RoutePage), problems=(422, 503)),
    Route("GET", "/routes/{origin}/{destination}", get_route, "flights", "Get a route",
          (*_path("origin", "destination"), *TOKEN_PARAMETERS),
          responses=answer(200, "The route", bodies.Route, headers=_CACHED), problems=(404, 422, 503)),
    Route("GET", "/departures/{airport}", get_departures, "flights", "The departure board of an airport",
          (*_path("airport"), *_parameters(BoardQuery), *TOKEN_PARAMETERS),
          responses=answer(200, "The board", bodies.Board, headers=_CACHED), problems=(404, 422, 503)),
    Route("GET", "/carriers", list_carriers, "flights", "List carriers",
          (*_parameters(PageQuery), *TOKEN_PARAMETERS),
          responses=answer(200, "A page", bodies.CarrierPage), problems=(422, 503)),
    Route("GET", "/carriers/{code}", get_carrier, "flights", "Get a carrier", (*_path("code"), *TOKEN_PARAMETERS),
          responses=answer(200, "The carrier", bodies.Carrier, headers=_CACHED), problems=(404, 422, 503)),
)  # fmt: skip
