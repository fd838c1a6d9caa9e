"""Records that wait, over HTTP: shown whole, retried, dropped, stepped over. What is asked for is done by the loop that
owns them; see atlas_readmodel.waiting.waiting_list, which the CLI uses itself where no projector answers.
"""

from collections.abc import Awaitable, Mapping
from typing import Any

import orjson
from aiohttp import web
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_readmodel.store import Store
from atlas_readmodel.waiting import waiting_list

_EXPECTED = 'expected {"ids": ["<projection>/<topic>/<partition>@<offset>", …]} or {"projection": "<name>"}'


def dead_letter_routes(stores: Mapping[str, Store], codec: Codec) -> list[web.RouteDef]:
    """GET /dead-letters, GET /dead-letters/{id}, POST /dead-letters/retry, /dead-letters/drop and /dead-letters/skip.

    Of generations that somebody writes: the live one is what readers see.
    """

    async def index(request: web.Request) -> web.Response:
        return _json(await waiting_list.listed(stores, request.query.get("projection"), "all" in request.query))

    async def show(request: web.Request) -> web.Response:
        text = request.match_info["id"]
        return _json(await _said(waiting_list.shown(stores, text, lambda value: value_of(codec, value))))

    async def retry(request: web.Request) -> web.Response:
        ids, projection = _chosen(await request.read())
        return _json(await _said(waiting_list.ask(stores, "retry", ids, projection)), 202)

    async def drop(request: web.Request) -> web.Response:
        ids, projection = _chosen(await request.read())
        return _json(await _said(waiting_list.ask(stores, "drop", ids, projection)), 202)

    async def skip(request: web.Request) -> web.Response:
        body = await request.read()
        ids, projection = _chosen(body)
        if projection is not None:
            raise _problem(400, "records are stepped over one by one: name their ids")
        reason = orjson.loads(body).get("reason")
        if not isinstance(reason, str) or not 0 < len(reason.strip()) <= 500 or not reason.isprintable():
            raise _problem(400, "`reason`: expected why, in 1 to 500 characters")
        return _json(await _said(waiting_list.skip(stores, ids, reason)))

    return [
        web.get("/dead-letters", index),
        web.get("/dead-letters/{id:.+}", show),
        web.post("/dead-letters/retry", retry),
        web.post("/dead-letters/drop", drop),
        web.post("/dead-letters/skip", skip),
    ]


def value_of(codec: Codec, value: bytes | None) -> Any:
    """The event as JSON, or the bytes in hexadecimal where they are none."""
    try:
        event = codec.decode(value)
        return {"type": event.type, "value": codec.to_json(event)}
    except (Undecodable, RecursionError):
        return None if value is None else {"hex": value.hex()}


async def _said(answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    try:
        return await answer
    except waiting_list.NotThere as error:
        raise _problem(404, str(error)) from None
    except ValueError as error:
        raise _problem(400, str(error)) from None


def _chosen(body: bytes) -> tuple[list[str], str | None]:
    """The ids, or the projection all of whose records are meant."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _problem(400, _EXPECTED) from None
    match asked:
        case {"ids": [*ids]} if 0 < len(ids) <= waiting_list.LIMIT_MAX and all(isinstance(each, str) for each in ids):
            return ids, None
        case {"projection": str(projection)}:
            return [], projection
    raise _problem(400, _EXPECTED)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _problem(status: int, title: str) -> web.HTTPException:
    text = orjson.dumps({"title": title, "status": status}).decode()
    kind = web.HTTPNotFound if status == 404 else web.HTTPBadRequest
    return kind(text=text, content_type="application/problem+json")
