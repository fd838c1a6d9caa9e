"""The relay's HTTP endpoints, for the CLI and the console: how the outbox stands, and what to do about parked rows."""

from base64 import b64encode
from typing import Any

import asyncpg
import orjson
from aiohttp import web
from atlas_outbox import parking
from atlas_outbox.parking import Choice, ParkedRow
from atlas_outbox.stats import read_stats
from pydantic import BaseModel, ConfigDict, ValidationError

from atlas_relay.settings import RelaySettings

_LIST_MAX = 1000


class Body(BaseModel):
    """Which parked rows: `ids`, or those of a `topic`, or `all`."""

    model_config = ConfigDict(extra="forbid")

    ids: list[int] | None = None
    topic: str | None = None
    all: bool = False


def outbox_routes(settings: RelaySettings, owner: str, pool: "asyncpg.Pool[Any]") -> list[web.RouteDef]:
    """GET /outbox, GET /outbox/parked, POST /outbox/parked/retry and /outbox/parked/discard."""

    async def status(_request: web.Request) -> web.Response:
        async with pool.acquire() as connection:
            stats = await read_stats(connection)
        summary = {
            "instance": owner,
            "delivery": settings.relay_delivery,
            "backlog_rows": stats.backlog,
            "oldest_row_s": max((group.oldest_s or 0.0 for group in stats.groups), default=0.0),
            "parked_rows": sum(group.parked for group in stats.groups),
            "table_bytes": stats.table_bytes,
            "groups": stats.groups,
        }
        return _json(200, summary)

    async def parked(request: web.Request) -> web.Response:
        try:
            after, limit = int(request.query.get("after", "0")), int(request.query.get("limit", "100"))
        except ValueError:
            return _refuse("`after` and `limit` are whole numbers")
        if not 1 <= limit <= _LIST_MAX:
            return _refuse(f"`limit` is 1 to {_LIST_MAX}")
        waiting = request.query.get("waiting") in {"1", "true"}
        async with pool.acquire() as connection:
            rows = await parking.list_parked(
                connection, after=after, topic=request.query.get("topic"), waiting=waiting, limit=limit
            )
        return _json(200, {"rows": [_shown(row) for row in rows]})

    async def retry(request: web.Request) -> web.Response:
        return await _change(request, pool, discard=False)

    async def discard(request: web.Request) -> web.Response:
        return await _change(request, pool, discard=True)

    return [
        web.get("/outbox", status),
        web.get("/outbox/parked", parked),
        web.post("/outbox/parked/retry", retry),
        web.post("/outbox/parked/discard", discard),
    ]


async def _change(request: web.Request, pool: "asyncpg.Pool[Any]", *, discard: bool) -> web.Response:
    try:
        body = Body.model_validate_json(await request.read())
    except ValidationError as error:
        return _refuse("; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()))
    if sum((body.ids is not None, body.topic is not None, body.all)) != 1:
        return _refuse("say which rows: one of `ids`, `topic`, `all`")
    choice = Choice(ids=body.ids, topic=body.topic)
    async with pool.acquire() as connection:
        count = await (parking.discard if discard else parking.retry)(connection, choice)
    return _json(200, {"discarded" if discard else "retried": count})


def _shown(row: ParkedRow) -> dict[str, Any]:
    try:
        key = {"key": row.key.decode()}
    except UnicodeDecodeError:
        key = {"key_base64": b64encode(row.key).decode()}
    return {
        "id": row.id,
        "topic": row.topic,
        **key,
        "error": row.error,
        "created_at": row.created_at,
        "parked_at": row.parked_at,
        "group": row.group,
        "value_bytes": row.value_bytes,
    }


def _refuse(detail: str) -> web.Response:
    problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail}
    return web.Response(status=400, body=orjson.dumps(problem), content_type="application/problem+json")


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
