"""What the projector answers over HTTP, beside its probes: state of the projections, rebuilds, rollback."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from atlas_errors.policy import Fate, fate_of
from atlas_readmodel.postgres.generations import NoSuchGeneration
from atlas_readmodel.stores import Stores

from atlas_projector.live import Live
from atlas_projector.rebuilding.rebuilds import AlreadyRunning, Rebuilds
from atlas_projector.rebuilding.side import Selection

EVENT_EVERY_S = 0.5


def projection_routes(stores: Stores, lives: Mapping[str, Live], rebuilds: Rebuilds) -> list[web.RouteDef]:
    """GET /projections; POST, GET, DELETE /projections/{name}/rebuild; POST /projections/{name}/rollback and /begin."""

    async def index(_request: web.Request) -> web.Response:
        shown = []
        for live in lives.values():
            try:
                rows = await stores.of(live.projection.model).overview()
            except Exception as error:
                if fate_of(error) is not Fate.TRANSIENT:
                    raise
                rows = []  # its loop says what is away
            shown.append(_entry(live, rebuilds, rows))
        return _json({"projections": shown})

    async def start(request: web.Request) -> web.Response:
        return _start(request, _name(request, lives), rebuilds)

    async def progress(request: web.Request) -> web.StreamResponse:
        name = _name(request, lives)
        state = rebuilds.state(name)
        if state is None:
            return _problem(404, f"this process has not rebuilt {name} since it started")
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await _stream(request, rebuilds, name)
        return _json(state)

    async def cancel(request: web.Request) -> web.Response:
        name = _name(request, lives)
        if not await rebuilds.cancel(name):
            return _problem(409, f"no rebuild of {name} is running in this process")
        return _json(rebuilds.state(name))

    async def rollback(request: web.Request) -> web.Response:
        return await _rollback(_name(request, lives), rebuilds)

    async def begin(request: web.Request) -> web.Response:
        name = _name(request, lives)
        return _json({"projection": name, "topics": await rebuilds.begin_anew(name)})

    return [
        web.get("/projections", index),
        web.post("/projections/{name}/rebuild", start),
        web.get("/projections/{name}/rebuild", progress),
        web.delete("/projections/{name}/rebuild", cancel),
        web.post("/projections/{name}/rollback", rollback),
        web.post("/projections/{name}/begin", begin),
    ]


def _start(request: web.Request, name: str, rebuilds: Rebuilds) -> web.Response:
    try:
        selection = _selection(request)
        verify, fresh, anyway = (_flag(request, flag) for flag in ("verify", "fresh", "though_missing"))
        rebuilds.start(name, verify=verify, fresh=fresh, keep_rows=not anyway, selection=selection)
    except ValueError as error:
        return _problem(400, str(error))
    except AlreadyRunning as error:
        return _problem(409, str(error))
    return _json(rebuilds.state(name), status=202)


async def _rollback(name: str, rebuilds: Rebuilds) -> web.Response:
    try:
        generation = await rebuilds.rollback(name)
    except (AlreadyRunning, NoSuchGeneration) as error:
        return _problem(409, str(error))
    return _json({"projection": name, "generation": generation.number, "version": generation.version})


async def _stream(request: web.Request, rebuilds: Rebuilds, name: str) -> web.StreamResponse:
    """Server-sent events: the state each half second, and at the end."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    while True:
        running = rebuilds.running(name)
        await response.write(b"data: " + orjson.dumps(rebuilds.state(name)) + b"\n\n")
        if not running:
            return response
        await asyncio.sleep(EVENT_EVERY_S)


def _entry(live: Live, rebuilds: Rebuilds, rows: list[dict[str, Any]]) -> dict[str, Any]:
    name = live.projection.name
    state = live.state()
    if rebuilds.running(name):
        state["state"] = "rebuilding" if state["state"] == "running" else f"{state['state']}, rebuilding"
    return {
        "name": name,
        "version": live.projection.version,
        "topics": live.projection.topics,
        **state,
        "generations": rows,
        "rebuild": rebuilds.state(name),
    }


def _name(request: web.Request, lives: Mapping[str, Live]) -> str:
    name = request.match_info["name"]
    if name not in lives:
        body = {"title": f"there is no projection {name}", "status": 404, "known": sorted(lives)}
        raise web.HTTPNotFound(text=orjson.dumps(body).decode(), content_type="application/problem+json")
    return name


def _selection(request: web.Request) -> Selection | None:
    """What of the history, into which side table. Raises ValueError."""
    query = request.query
    if "into" not in query:
        given = [name for name in ("until_ms", "key", "type") if name in query]
        if given:
            raise ValueError(f"{given[0]}: readers would get a part of the rows; name a side table with `into`")
        return None
    until = query.get("until_ms")
    if until is not None and not until.isdigit():
        raise ValueError(f"until_ms: {until!r} is not a time in epoch milliseconds")
    return Selection(query["into"], None if until is None else int(until), query.get("key"), query.get("type"))


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("1", "true", "yes")


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _problem(status: int, title: str) -> web.Response:
    body = orjson.dumps({"title": title, "status": status})
    return web.Response(body=body, status=status, content_type="application/problem+json")
