"""The health of the mesh at the gateway, before a server that answers as the aggregator does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_gateway import mesh_health
from atlas_gateway.mesh_health import MeshHealth


class Aggregator:
    """Counts who asks; answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.begun = asyncio.Event()
        self.may = asyncio.Event()
        self.may.set()

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        self.begun.set()
        await self.may.wait()
        return web.json_response({"services": []}, status=self.status)


@pytest.fixture
async def aggregator() -> AsyncIterator[tuple[Aggregator, str]]:
    app, found = web.Application(), Aggregator()
    app.router.add_get("/health/mesh", found.answer)
    async with TestServer(app) as server:
        yield found, str(server.make_url(""))


async def client_of(url: str) -> TestClient[Any, Any]:
    app = web.Application()
    app.add_routes(MeshHealth(url).routes())
    client: TestClient[Any, Any] = TestClient(TestServer(app))
    await client.start_server()
    return client


async def test_any_number_of_askers_ask_the_aggregator_once(aggregator: tuple[Aggregator, str]) -> None:
    behind, url = aggregator
    behind.may.clear()
    async with await client_of(url) as client:
        asking = [asyncio.create_task(client.get("/health/mesh")) for _ in range(20)]
        await asyncio.wait_for(behind.begun.wait(), 30)
        behind.may.set()
        answers = await asyncio.gather(*asking)
        assert {answer.status for answer in answers} == {200}
        assert await answers[0].json() == {"services": []}
    assert behind.asked == 1


async def test_one_that_does_not_answer_is_a_problem(aggregator: tuple[Aggregator, str]) -> None:
    behind, url = aggregator
    behind.status = 500
    async with await client_of(url) as client:
        answer = await client.get("/health/mesh")
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert "does not answer" in (await answer.json())["detail"]


async def test_one_that_answers_too_much_is_not_passed_on(
    aggregator: tuple[Aggregator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh_health, "ANSWER_MAX_BYTES", 5)
    async with await client_of(aggregator[1]) as client:
        assert (await client.get("/health/mesh")).status == 503


async def test_one_that_is_away_is_asked_again(aggregator: tuple[Aggregator, str]) -> None:
    mesh = MeshHealth("http://127.0.0.1:1")
    answer, trouble = await mesh.ask()
    assert answer == b""
    assert trouble
    mesh._url = f"{aggregator[1]}/health/mesh"
    mesh._asked_at = -10.0
    assert (await mesh.ask())[1] == ""
