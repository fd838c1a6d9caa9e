"""Records that wait, over HTTP: shown whole, retried, dropped. What is asked for is done by the loop that owns them.

A record's id is `<projection>/<topic>/<partition>@<offset>`, as `atlas dlq ls` prints it.
"""

import re
from typing import Any

import asyncpg
import orjson
from aiohttp import web
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable

LIMIT_MAX = 1000
_ID = re.compile(r"(?P<projection>[a-z0-9_]+)/(?P<topic>[A-Za-z0-9._-]+)/(?P<partition>\d{1,9})@(?P<offset>\d{1,18})")
# Of generations that somebody writes: the live one is what readers see.
_LIVE = (
    "FROM readmodel.parked p JOIN readmodel.projections r ON r.name = p.projection AND r.live_generation = p.generation"
)
_COLUMNS = (
    "projection, topic, partition, record_offset, key, state, error, attempts, request, timestamp_ms,"
    " (extract(epoch FROM parked_at) * 1000)::bigint AS parked_at_ms"
)


def dead_letter_routes(pool: asyncpg.Pool, codec: Codec) -> list[web.RouteDef]:
    """GET /dead-letters, GET /dead-letters/{id}, POST /dead-letters/retry and /dead-letters/drop."""

    async def index(request: web.Request) -> web.Response:
        projection = request.query.get("projection")
        states = ["dead", "early", "behind"] if "all" in request.query else ["dead", "early"]
        rows = await pool.fetch(
            f"SELECT {_COLUMNS} {_LIVE} WHERE ($1::text IS NULL OR projection = $1) AND state = ANY ($2)"
            " ORDER BY projection, topic, partition, record_offset LIMIT $3",
            *(projection, states, LIMIT_MAX),
        )
        waiting = await pool.fetchval(f"SELECT count(*) {_LIVE} WHERE $1::text IS NULL OR projection = $1", projection)
        return _json({"records": [_shown(row) for row in rows], "waiting": waiting})

    async def show(request: web.Request) -> web.Response:
        place = _place(request.match_info["id"])
        row = await pool.fetchrow(
            f"SELECT {_COLUMNS}, value, header_names, header_values {_LIVE}"
            " WHERE projection = $1 AND topic = $2 AND partition = $3 AND record_offset = $4",
            *place,
        )
        if row is None:
            raise _problem(404, f"{request.match_info['id']} does not wait")
        headers = zip(row["header_names"], row["header_values"], strict=True)
        whole = {
            "headers": {name: None if value is None else _text(value) for name, value in headers},
            "value": _value(codec, row["value"]),
        }
        return _json(_shown(row) | whole)

    async def retry(request: web.Request) -> web.Response:
        return await _ask(pool, request, "retry")

    async def drop(request: web.Request) -> web.Response:
        return await _ask(pool, request, "drop")

    return [
        web.get("/dead-letters", index),
        web.get("/dead-letters/{id:.+}", show),
        web.post("/dead-letters/retry", retry),
        web.post("/dead-letters/drop", drop),
    ]


async def _ask(pool: asyncpg.Pool, request: web.Request, what: str) -> web.Response:
    """Note what is wanted of the chosen records; the loop that owns them does it."""
    ids, projection = _chosen(await request.read())
    places = [_place(text) for text in ids]
    asked = await pool.fetch(
        f"UPDATE readmodel.parked SET request = $1 WHERE (projection, generation, topic, partition, record_offset)"
        f" IN (SELECT p.projection, p.generation, p.topic, p.partition, p.record_offset {_LIVE}"
        "  WHERE ($2::text IS NOT NULL AND projection = $2 AND p.state IN ('dead', 'early'))"
        "  OR (projection, topic, partition, record_offset)"
        "     IN (SELECT * FROM unnest($3::text[], $4::text[], $5::int[], $6::bigint[])))"
        " RETURNING projection, topic, partition, record_offset",
        *(what, projection, *([place[column] for place in places] for column in range(4))),
    )
    return _json({"asked": [_id(row) for row in asked]}, status=202)


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


def _place(text: str) -> tuple[str, str, int, int]:
    match = _ID.fullmatch(text)
    if match is None:
        raise _problem(400, f"{text[:100]!r} is no record: expected <projection>/<topic>/<partition>@<offset>")
    return match["projection"], match["topic"], int(match["partition"]), int(match["offset"])


def _id(row: asyncpg.Record) -> str:
    return f"{row['projection']}/{row['topic']}/{row['partition']}@{row['record_offset']}"


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": _id(row),
        "projection": row["projection"],
        "key": None if row["key"] is None else _text(row["key"]),
        "state": row["state"],
        "error": row["error"],
        "attempts": row["attempts"],
        "request": row["request"],
        "timestamp_ms": row["timestamp_ms"],
        "parked_at_ms": row["parked_at_ms"],
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
