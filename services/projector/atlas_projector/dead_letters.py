"""Records that wait, over HTTP: shown whole, retried, dropped. What is asked for is done by the loop that owns them.

A record's id is `<projection>/<topic>/<partition>@<offset>`, as `atlas dlq ls` prints it.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_readmodel.parking import Parked, Place
from atlas_readmodel.store import Store

LIMIT_MAX = 1000
_ID = re.compile(r"(?P<projection>[a-z0-9_]+)/(?P<topic>[A-Za-z0-9._:-]+)/(?P<partition>\d{1,9})@(?P<offset>\d{1,18})")


def dead_letter_routes(stores: Mapping[str, Store], codec: Codec) -> list[web.RouteDef]:
    """GET /dead-letters, GET /dead-letters/{id}, POST /dead-letters/retry and /dead-letters/drop.

    Of generations that somebody writes: the live one is what readers see.
    """

    async def index(request: web.Request) -> web.Response:
        only = request.query.get("projection")
        states = ["dead", "early", "behind"] if "all" in request.query else ["dead", "early"]
        records: list[dict[str, Any]] = []
        count = 0
        for name, store in sorted(stores.items()):
            if only in (None, name):
                waiting = await store.parked(states, LIMIT_MAX - len(records))
                records += [_shown(name, record) for record in waiting.records]
                count += waiting.count
        return _json({"records": records, "waiting": count})

    async def show(request: web.Request) -> web.Response:
        name, place = _place(request.match_info["id"])
        record = await stores[name].parked_at(place) if name in stores else None
        if record is None:
            raise _problem(404, f"{request.match_info['id']} does not wait")
        whole = {
            "headers": {name: None if value is None else _text(value) for name, value in record.headers},
            "value": _value(codec, record.value),
        }
        return _json(_shown(name, record) | whole)

    async def retry(request: web.Request) -> web.Response:
        return await _ask(stores, request, "retry")

    async def drop(request: web.Request) -> web.Response:
        return await _ask(stores, request, "drop")

    return [
        web.get("/dead-letters", index),
        web.get("/dead-letters/{id:.+}", show),
        web.post("/dead-letters/retry", retry),
        web.post("/dead-letters/drop", drop),
    ]


async def _ask(stores: Mapping[str, Store], request: web.Request, what: str) -> web.Response:
    """Note what is wanted of the chosen records; the loop that owns them does it."""
    ids, projection = _chosen(await request.read())
    wanted: dict[str, list[Place] | None] = {} if projection is None else {projection: None}
    for text in ids:
        name, place = _place(text)
        places = wanted.setdefault(name, [])
        assert places is not None  # ids and a projection are not chosen together
        places.append(place)
    asked = [
        _id(name, place)
        for name, places in wanted.items()
        if name in stores
        for place in await stores[name].ask(what, places)
    ]
    return _json({"asked": asked}, status=202)


def _chosen(body: bytes) -> tuple[list[str], str | None]:
    """The ids, or the projection all of whose records are meant."""
    try:
        asked = orjson.loads(body)
        match asked:
            case {"ids": [*ids]} if ids and all(isinstance(each, str) for each in ids):
                return ids, None
            case {"projection": str(projection)}:
                return [], projection
    except orjson.JSONDecodeError:
        pass
    raise _problem(
        400, 'expected {"ids": ["<projection>/<topic>/<partition>@<offset>", …]} or {"projection": "<name>"}'
    )


def _place(text: str) -> tuple[str, Place]:
    match = _ID.fullmatch(text)
    if match is None:
        raise _problem(400, f"{text[:100]!r} is no record: expected <projection>/<topic>/<partition>@<offset>")
    return match["projection"], (match["topic"], int(match["partition"]), int(match["offset"]))


def _id(projection: str, place: Place) -> str:
    topic, partition, offset = place
    return f"{projection}/{topic}/{partition}@{offset}"


def _shown(projection: str, record: Parked) -> dict[str, Any]:
    return {
        "id": _id(projection, record.place),
        "projection": projection,
        "key": None if record.key is None else _text(record.key),
        "state": record.state,
        "error": record.error,
        "attempts": record.attempts,
        "request": record.request,
        "timestamp_ms": record.timestamp_ms,
        "parked_at_ms": record.parked_at_ms,
    }


def _value(codec: Codec, value: bytes | None) -> Any:
    """The event as JSON, or the bytes in hexadecimal where they are none."""
    try:
        event = codec.decode(value)
        return {"type": event.type, "value": codec.to_json(event)}
    except Undecodable:
        return None if value is None else {"hex": value.hex()}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _problem(status: int, title: str) -> web.HTTPException:
    text = orjson.dumps({"title": title, "status": status}).decode()
    kind = web.HTTPNotFound if status == 404 else web.HTTPBadRequest
    return kind(text=text, content_type="application/problem+json")
