"""What is sent is counted, and what is refused is told in the gateway's own words."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from atlas_cli.demo import load as loader
from atlas_cli.demo.load import HttpGateway, Progress, loading
from atlas_runtime.demo import Demo, DemoFailed, Event, Gateway, Proof, Request


class Bookings(Demo):
    demo_size = seed_size = 1

    def events(self) -> Mapping[str, Callable[[], Iterable[Event]]]:
        return {"seats": lambda: (("bookings.SeatAdded", {"seat": str(number)}) for number in range(self.size))}

    def commands(self) -> Mapping[str, Iterable[Request]]:
        return {"bookings": (partial(self._book, number) for number in range(self.size))}

    async def _book(self, number: int, gateway: Gateway) -> None:
        answer = await gateway.ask("POST", "/bookings", {"number": number}, {"Idempotency-Key": str(number)})
        await gateway.ask("GET", f"/bookings/{answer.body['id']}")

    async def prove(self, gateway: Gateway) -> Proof:
        raise AssertionError


class Answering:
    """A gateway: remembers what it got; `refused` seats and bookings are refused."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.refused: set[int] = set()

    async def post(self, request: web.Request) -> web.Response:
        records = [json.loads(line) for line in (await request.text()).splitlines()]
        self.posted += records
        results = [{"error": "no"} if int(r["value"]["seat"]) in self.refused else {} for r in records]
        return web.json_response({"failed": sum(map(len, results)), "results": results})

    async def book(self, request: web.Request) -> web.Response:
        number = (await request.json())["number"]
        self.keys.add(request.headers["Idempotency-Key"])
        if number in self.refused:
            return web.json_response({"title": "Taken", "detail": f"{number} is taken"}, status=409)
        return web.json_response({"id": str(number)}, status=201, headers={"ETag": '"1"'})

    async def get(self, request: web.Request) -> web.Response:
        return web.json_response({"id": request.match_info["id"]})


@pytest.fixture
def answering() -> Answering:
    return Answering()


@pytest.fixture
async def gateway(answering: Answering) -> AsyncIterator[HttpGateway]:
    app = web.Application()
    app.add_routes(
        [
            web.post("/topics/seats", answering.post),
            web.post("/bookings", answering.book),
            web.get("/bookings/{id}", answering.get),
        ]
    )
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield HttpGateway(session, str(server.make_url("")).rstrip("/"))


async def test_everything_is_sent_once_and_counted_by_topic(
    gateway: HttpGateway, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "CHUNK_EVENTS", 10)
    size, progress = 95, Progress()
    for load in loading(gateway, Bookings(size), progress):
        await load
    assert progress.sent == {"seats": size, "bookings": size}  # a query is no command
    assert len({record["value"]["seat"] for record in answering.posted}) == len(answering.posted) == size
    assert answering.keys == {str(number) for number in range(size)}
    assert progress.first_request is not None
    assert progress.last_answer is not None
    assert progress.last_answer >= progress.first_request


async def test_only_what_is_wanted_is_posted(gateway: HttpGateway, answering: Answering) -> None:
    def wanted(topic: str, events: Iterable[Event]) -> Iterable[Event]:
        assert topic == "seats"
        return (event for event in events if event[1]["seat"] == "2")

    progress = Progress()
    for load in loading(gateway, Bookings(5), progress, wanted):
        await load
    assert progress.sent == {"seats": 1, "bookings": 5}
    assert [record["value"]["seat"] for record in answering.posted] == ["2"]


async def test_what_is_refused_is_told(gateway: HttpGateway, answering: Answering) -> None:
    answering.refused = {3}
    events, commands = loading(gateway, Bookings(5), Progress())
    with pytest.raises(ExceptionGroup) as failed:
        await events
    assert failed.group_contains(DemoFailed, match="/topics/seats refused 1 of 5 events; the first: no")
    with pytest.raises(ExceptionGroup) as failed:
        await commands
    assert failed.group_contains(DemoFailed, match="POST .*/bookings: 409 3 is taken")
