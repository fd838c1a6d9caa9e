"""The relay's HTTP endpoints, for the CLI and the console: how the outbox stands, and what to do about parked rows."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import asyncpg
import orjson
from aiohttp import web
from atlas_errors.policy import Fate, describe, fate_of
from atlas_outbox import parking
from atlas_outbox.parking import Choice
from atlas_outbox.relaying.stats import read_stats
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atlas_relay.settings import RelaySettings

_LIST_MAX = 1000
# What PostgreSQL can be asked for: a bigint, and a text without NUL.
Id = Annotated[int, Field(ge=0, lt=1 << 63)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Body(BaseModel):
    """Which parked rows: `ids`, or those of a `topic`, or `all`."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Id] | None = None
    topic: Text | None = None
    all: bool = False


class Listing(BaseModel):
    """What is asked of the list of parked rows."""

    after: Id = 0
    limit: int = Field(default=100, ge=1, le=_LIST_MAX)
    topic: Text | None = None
    waiting: str = ""


def outbox_routes(settings: RelaySettings, owner: str, pool: "asyncpg.Pool[Any]") -> list[web.RouteDef]:
    """GET /outbox, GET /outbox/parked, POST /outbox/parked/retry and /outbox/parked/discard."""

    async def status(_request: web.Request) -> web.Response:
        async with pool.acquire() as connection:
            stats = await read_stats(connection)
        return _json(200, {"instance": owner, "delivery": settings.relay_delivery, **stats.summary()})

    async def parked(request: web.Request) -> web.Response:
        asked = Listing.model_validate(dict(request.query))
        waiting = asked.waiting in {"1", "true"}
        async with pool.acquire() as connection:
            rows = await parking.list_parked(
                connection, after=asked.after, topic=asked.topic, waiting=waiting, limit=asked.limit
            )
        return _json(200, {"rows": [row.shown() for row in rows]})

    async def retry(request: web.Request) -> web.Response:
        return await _change(request, pool, discard=False)

    async def discard(request: web.Request) -> web.Response:
        return await _change(request, pool, discard=True)

    return [
        web.get("/outbox", _judged(status)),
        web.get("/outbox/parked", _judged(parked)),
        web.post("/outbox/parked/retry", _judged(retry)),
        web.post("/outbox/parked/discard", _judged(discard)),
    ]


def _judged(handler: Handler) -> Handler:
    """What is asked wrongly is a 400 that says what; a database that is away is a 503."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)
            return _refuse("; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults))
        except Exception as error:
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            return _problem(503, "Service Unavailable", f"the database does not answer: {describe(error)}")

    return answer


async def _change(request: web.Request, pool: "asyncpg.Pool[Any]", *, discard: bool) -> web.Response:
    body = Body.model_validate_json(await request.read())
    if sum((body.ids is not None, body.topic is not None, body.all)) != 1:
        return _refuse("say which rows: one of `ids`, `topic`, `all`")
    choice = Choice(ids=body.ids, topic=body.topic)
    async with pool.acquire() as connection:
        count = await (parking.discard if discard else parking.retry)(connection, choice)
    return _json(200, {"discarded" if discard else "retried": count})


def _refuse(detail: str) -> web.Response:
    return _problem(400, "Bad Request", detail)


def _problem(status: int, title: str, detail: str) -> web.Response:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return web.Response(status=status, body=orjson.dumps(problem), content_type="application/problem+json")


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
