"""What a projection's rows are held against, and records that its rebuilds leave out, over HTTP.

A record that was forged was applied like any other. Nothing takes it back but a rebuild that does not read it.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from atlas_projection.projection import Projection
from atlas_readmodel.store import Store
from atlas_readmodel.table import SCHEMA, Table
from atlas_readmodel.waiting.parking import Decision, Place, Ruling

_RECORDS_MAX = 1000
_REASON_MAX = 500
# As `atlas dlq ls` prints it; within what the tables hold.
_ID = re.compile(r"(?P<projection>[a-z0-9_]+)/(?P<topic>[A-Za-z0-9._-]+)/(?P<partition>\d{1,9})@(?P<offset>\d{1,18})")


def leaving_out_routes(projections: Mapping[str, Projection], stores: Mapping[str, Store]) -> list[web.RouteDef]:
    """GET /projections/{name}/owner; POST /projections/{name}/left-out with {"ids": […], "reason": "…"}."""

    async def owner(request: web.Request) -> web.Response:
        return _json(_owner(projections[_name(request, projections)]))

    async def leave_out(request: web.Request) -> web.Response:
        name = _name(request, projections)
        places, reason = _asked(await request.read(), name, projections[name].topics)
        for place in places:
            if await stores[name].parked_at(place) is not None:
                raise _problem(409, f"{_id(name, place)} waits and was not applied; atlas dlq drop gives it up")
        await stores[name].rule([Ruling(place, Decision.SKIPPED, reason) for place in places])
        return _json({"left_out": [_id(name, place) for place in places]})

    return [
        web.get("/projections/{name}/owner", owner),
        web.post("/projections/{name}/left-out", leave_out),
    ]


def _owner(projection: Projection) -> dict[str, Any]:
    owner, table = projection.owner, projection.table
    if owner is None:
        raise _problem(409, f"the projection {projection.name} does not say which table owns its rows (`owner`)")
    if not isinstance(table, Table):
        raise _problem(409, f"the rows of {projection.name} are documents in Redis, and can't be compared with a table")
    columns = dict.fromkeys([*table.key, *(owner.columns or table.columns)])
    return {
        "table": owner.table,
        "read_model": f"{SCHEMA}.{projection.name}",
        "key": list(table.key),
        "version": projection.versioned,
        "columns": {column: owner.names.get(column, column) for column in columns},
        "topics": list(projection.topics),
    }


def _asked(body: bytes, name: str, topics: tuple[str, ...]) -> tuple[list[Place], str]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        asked = None
    match asked:
        case {"ids": [*ids], "reason": str(reason)} if (
            0 < len(ids) <= _RECORDS_MAX and 0 < len(reason.strip()) <= _REASON_MAX and "\x00" not in reason
        ):
            pass
        case _:
            expected = f"`ids`, 1 to {_RECORDS_MAX} records, and `reason`, 1 to {_REASON_MAX} characters"
            raise _problem(400, f"the body is a JSON object of {expected}")
    places = []
    for each in ids:
        match = _ID.fullmatch(str(each))
        if match is None or match["projection"] != name or match["topic"] not in topics:
            expected = f"{name}/<topic>/<partition>@<offset>, of {', '.join(topics)}"
            raise _problem(400, f"{str(each)[:100]!r} is no record of {name}: expected {expected}")
        places.append((match["topic"], int(match["partition"]), int(match["offset"])))
    return places, reason


def _name(request: web.Request, projections: Mapping[str, Projection]) -> str:
    name = request.match_info["name"]
    if name not in projections:
        raise _problem(404, f"there is no projection {name[:100]}; there are {', '.join(sorted(projections))}")
    return name


def _id(name: str, place: Place) -> str:
    topic, partition, offset = place
    return f"{name}/{topic}/{partition}@{offset}"


def _problem(status: int, title: str) -> web.HTTPException:
    text = orjson.dumps({"title": title, "status": status}).decode()
    kinds = {400: web.HTTPBadRequest, 404: web.HTTPNotFound, 409: web.HTTPConflict}
    return kinds[status](text=text, content_type="application/problem+json")


def _json(body: Any) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
