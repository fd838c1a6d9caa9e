"""What each answer of a gateway means for a canary."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from atlas_health_aggregator.canary.gateway import Gateway, Unanswered
from atlas_health_aggregator.canary.journeys import Place

PLACE = Place("health.canary-events", 0, 41)
NO_ROW = {"type": "urn:problem:not-found", "title": "Not found", "detail": "There is no canary me.event."}
NO_ROUTE = {"title": "Not found", "detail": "There is nothing at this path; /docs lists what there is."}
NOT_YET = {"type": "/problems/not-yet-visible", "title": "The write is not yet visible"}
AWAY = {"type": "/problems/unavailable", "title": "A dependency is unavailable", "detail": "it was never built."}
Ask = Callable[[Gateway], Any]


@asynccontextmanager
async def answering(status: int, body: Any) -> AsyncIterator[tuple[Gateway, list[web.Request]]]:
    """A gateway that answers everything alike, and what it was asked."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        asked.append(request)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Gateway(session, str(server.make_url("/"))), asked


def passed(gateway: Gateway) -> Any:
    return gateway.passed(PLACE)


def seen(gateway: Gateway) -> Any:
    return gateway.seen("me.event")


@pytest.mark.parametrize(
    ("ask", "status", "body", "meaning"),
    [
        (passed, 200, {"canary_id": "me.event", "recent": [1]}, True),
        (passed, 404, NO_ROW, True),
        (passed, 503, NOT_YET, False),
        (seen, 200, {"canary_id": "me.event", "recent": [1, 2]}, {1, 2}),
        (seen, 404, NO_ROW, set()),
    ],
)
async def test_an_answer(ask: Ask, status: int, body: Any, meaning: Any) -> None:
    async with answering(status, body) as (gateway, _):
        assert await ask(gateway) == meaning


@pytest.mark.parametrize(
    ("ask", "status", "body"),
    [
        (passed, 404, NO_ROUTE),
        (passed, 503, AWAY),
        (passed, 500, {}),
        (seen, 404, NO_ROUTE),
        (seen, 503, AWAY),
        (seen, 200, {"recent": None}),
        (seen, 200, [1]),
        (lambda gateway: gateway.command("me.command", 5), 404, NO_ROUTE),
        (lambda gateway: gateway.post("t", "me.event", 5), 503, AWAY),
        (lambda gateway: gateway.post("t", "me.event", 5), 207, {}),
    ],
)
async def test_no_answer(ask: Ask, status: int, body: Any) -> None:
    async with answering(status, body) as (gateway, _):
        with pytest.raises(Unanswered, match=rf"(GET|POST) /.*: {status}"):
            await ask(gateway)


async def test_nobody_there() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unanswered, match="POST /health/canaries: "):
            await Gateway(session, f"http://127.0.0.1:{unused_port()}").command("me.command", 5)


async def test_what_is_asked_and_that_nobody_traces_it() -> None:
    async with answering(200, {"recent": []}) as (gateway, asked):
        await gateway.passed(PLACE)
        await gateway.post("health.canary-events", "me.event", 5)
    token = "health_canaries:health.canary-events/0@41"
    assert [request.path for request in asked] == ["/health/canaries/nobody", "/topics/health.canary-events"]
    assert asked[0].headers["Atlas-Token"] == token
    assert all(request.headers["traceparent"].endswith("-00") for request in asked)
    assert await asked[1].json() == {"type": "health.CanaryPosted", "value": {"canary_id": "me.event", "number": 5}}
