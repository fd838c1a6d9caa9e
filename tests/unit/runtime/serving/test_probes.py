"""Probes: what the four routes answer."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from atlas_runtime.metrics import HTTP_REQUESTS
from atlas_runtime.serving import dependencies
from atlas_runtime.serving.probes import Health, serve_probes
from atlas_runtime.settings import ServiceSettings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics


class Settings(ServiceSettings):
    service: str = "unit"
    http_port: int = 0


async def _get(port: int, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}{path}") as response:
        if response.content_type == "application/json":
            return response.status, await response.json()
        return response.status, await response.text()


async def test_a_ready_process() -> None:
    health = Health("unit", "1.2.3")
    health.add("database", _fine)
    async with serve_probes(Settings(), health) as port:
        assert await _get(port, "/health/live") == (200, {"status": "alive"})
        assert await _get(port, "/health/ready") == (200, {"status": "ready", "reasons": {}})
        status, detail = await _get(port, "/health")
        assert (status, detail["service"], detail["version"], detail["status"]) == (200, "unit", "1.2.3", "healthy")
        assert detail["dependencies"]["database"]["state"] == "up"
        assert detail["environment"] == "development"
        status, text = await _get(port, "/metrics")
        assert status == 200
        assert "# TYPE atlas_http_requests_total counter" in text


async def test_checks_and_notes_make_it_unready_and_it_stays_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "CHECK_TIMEOUT_S", 0.05)
    health = Health("unit")

    async def broken() -> str | None:
        raise ConnectionError("postgresql://u:hunter2@h/x")

    async def hangs() -> str | None:
        await asyncio.sleep(60)
        return None

    async def says_no() -> str | None:
        return "no"

    health.add("fine", _fine)
    health.add("broken", broken)
    health.add("hangs", hangs)
    health.add("says_no", says_no)
    health.note("loop", "behind")
    async with serve_probes(Settings(), health) as port:
        status, body = await _get(port, "/health/ready")
        assert status == 503
        assert body["reasons"] == {
            "broken": "ConnectionError: postgresql://u:***@h/x",
            "hangs": "no answer within 0.05 s",
            "says_no": "no",
            "loop": "behind",
        }
        assert (await _get(port, "/health"))[1]["status"] == "unhealthy"
        assert (await _get(port, "/health/live"))[0] == 200


async def test_without_what_it_does_not_need_it_is_ready_and_degraded() -> None:
    health = Health("unit")
    health.add("cache", _away, needed=False)
    async with serve_probes(Settings(), health) as port:
        assert (await _get(port, "/health/ready"))[0] == 200
        _, detail = await _get(port, "/health")
    assert (detail["status"], detail["reasons"], detail["worries"]) == ("degraded", {}, {"cache": "away"})
    assert detail["dependencies"]["cache"]["state"] == "down"


async def test_a_note_stands_until_it_is_taken_back() -> None:
    health = Health("unit")
    health.note("loop", "behind")
    health.note("loop", "still behind")
    assert await health.reasons() == {"loop": "still behind"}
    health.note("loop", None)
    health.note("loop", None)
    assert await health.reasons() == {}


async def test_a_stopping_process_is_not_ready() -> None:
    health = Health("unit")
    health.stopping = True
    async with serve_probes(Settings(), health) as port:
        assert (await _get(port, "/health/ready"))[0] == 503
        assert (await _get(port, "/health"))[1]["status"] == "stopping"


async def test_a_service_may_add_routes_and_the_port_is_freed() -> None:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with serve_probes(Settings(), Health("unit"), routes=[web.get("/hello", hello)]) as port:
        assert await _get(port, "/hello") == (200, "hello")
    async with serve_probes(Settings(http_port=port), Health("unit")) as again:
        assert again == port


def test_the_version_is_the_distributions() -> None:
    assert Health("runtime").version == "0.1.0"
    assert Health("nothing-of-that-name").version == "0"


@pytest.fixture(autouse=True)
def _counted() -> None:
    HTTP_REQUESTS.labels("GET", "/x", 200).inc()


async def test_metrics_are_openmetrics_for_who_accepts_that() -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    async with (
        serve_probes(Settings(), Health("unit")) as port,
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept}) as response,
    ):
        text = await response.text()
        assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in openmetrics(text)}
    assert families["atlas_http_requests"].type == "counter"


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=x", "text/plain;version=", ";;;,,=", "\xff"])
async def test_whatever_is_accepted_metrics_answer(accept: str) -> None:
    async with (
        serve_probes(Settings(), Health("unit")) as port,
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept}) as response,
    ):
        assert response.status == 200
        assert "atlas_http_requests" in await response.text()


async def _fine() -> str | None:
    return None


async def _away() -> str | None:
    return "away"
