"""Nothing that a foreign page can make a browser send reaches a handler that changes something: every route is tried.

The handlers get nothing to work with, so one that is reached answers 500.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from atlas_archiver.settings import ArchiverSettings
from atlas_contracts.registry import Registry
from atlas_gateway.app import make_app
from atlas_gateway.opened import Requests
from atlas_gateway.settings import GatewaySettings
from atlas_health_aggregator import exposition
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_projector.routes import projection_routes
from atlas_projector.settings import ProjectorSettings
from atlas_projector.waiting.dead_letters import dead_letter_routes
from atlas_projector.waiting.leaving_out import leaving_out_routes
from atlas_relay.routes import outbox_routes
from atlas_relay.settings import RelaySettings
from atlas_runtime.serving import http_server
from atlas_runtime.serving.http_guard import READING_METHODS
from atlas_runtime.serving.probes import Health, serve_probes

from tests import neutral
from tests.contexts import SCHEMAS

ROOT = Path(__file__).parents[2]
# As in the gateway's own process, where warnings are no errors.
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
NOTHING = cast(Any, None)
Served = tuple[str, list[tuple[str, str]]]


def _routes(service: str) -> tuple[Any, list[web.RouteDef]]:
    """A service's settings, and the routes that it serves beside its probes."""
    if service == "relay":
        settings = RelaySettings(http_port=0)
        return settings, outbox_routes(settings, "relay-1", NOTHING)
    if service == "projector":
        return ProjectorSettings(http_port=0), [
            *projection_routes(NOTHING, {}, NOTHING),
            *dead_letter_routes({}, NOTHING),
            *leaving_out_routes({}, {}),
        ]
    if service == "health-aggregator":
        return HealthAggregatorSettings(http_port=0), exposition.routes(NOTHING, NOTHING)
    return ArchiverSettings(http_port=0), []


@asynccontextmanager
async def served(service: str) -> AsyncIterator[Served]:
    """The service's address and each of its routes that may change something, with names in place of parameters."""
    if service == "gateway":
        registry = Registry.load(SCHEMAS)
        resources: Any = SimpleNamespace(settings=GatewaySettings(), registry=registry, requests=Requests())
        app = make_app(resources, Health("gateway"), neutral.ROUTES)
        defined = [(route.method, route.resource.canonical) for route in app.router.routes() if route.resource]
        async with http_server.listen(app, "127.0.0.1", 0) as port:
            yield f"http://127.0.0.1:{port}", _changing(defined)
    else:
        settings, routes = _routes(service)
        async with serve_probes(settings, Health(service), routes=routes) as port:
            yield f"http://127.0.0.1:{port}", _changing([(route.method, route.path) for route in routes])


def _changing(routes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(method, path) for method, path in routes if method not in READING_METHODS]


SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.name != "cli" and path.is_dir())
FORMS: dict[str, tuple[dict[str, str], bytes]] = {
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, b"all=true"),
    "a form with a file": ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"),
    "a page's fetch": ({"Content-Type": "text/plain"}, b'{"all": true}'),
    "a blob": ({}, b'{"all": true}'),
    "an old page's fetch without a body": ({"Content-Type": "text/plain"}, b""),
    "another site": ({"Content-Type": "application/json", "Origin": "https://evil.example"}, b"{}"),
    "another site without a body": ({"Origin": "https://evil.example"}, b""),
    "a page from nowhere": ({"Content-Type": "application/json", "Origin": "null"}, b"{}"),
    "a fetch of another site": ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, b"{}"),
    "another host": ({"Content-Type": "application/json", "Host": "evil.example"}, b"{}"),
    "a rebound name": (
        {"Content-Type": "application/json", "Host": "evil.example", "Origin": "http://evil.example"}, b"{}",
    ),
}  # fmt: skip


async def ask(url: str, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, Any]:
    async with (
        aiohttp.ClientSession(skip_auto_headers=("Content-Type",)) as session,
        session.request(method, f"{url}{path}", headers=headers, data=body or None) as response,
    ):
        return response.status, response.content_type, await response.json(content_type=None)


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("service", SERVICES)
async def test_no_route_takes_what_a_foreign_page_can_send(service: str, form: str) -> None:
    headers, body = FORMS[form]
    async with served(service) as (url, routes):
        for method, path in routes:
            filled = path.replace("{", "").replace("}", "")
            status, content_type, problem = await ask(url, method, filled, headers, body)
            if method == "DELETE" and not headers.keys() & {"Origin", "Host", "Sec-Fetch-Site"} and not body:
                continue  # a browser asks first, whatever the type
            assert status in (403, 415, 421), (method, path, problem)
            assert content_type == "application/problem+json"
            assert problem["type"].startswith("urn:atlas:problem:")
            assert problem["status"] == status
            assert problem["detail"]


@pytest.mark.parametrize("service", ["gateway", "projector", "relay"])
async def test_what_a_program_sends_gets_to_the_handler(service: str) -> None:
    """Else the test above would pass for a service that refuses everything."""
    async with served(service) as (url, routes):
        assert routes
        for method, path in routes:
            headers = {"Content-Type": "application/json"}
            status, _, problem = await ask(url, method, path.replace("{", "").replace("}", ""), headers, b"]")
            assert problem.get("type") not in ("urn:atlas:problem:foreign-origin", "urn:atlas:problem:unknown-host")
            assert status != 415 or "vnd.schemaregistry" in str(problem), (method, path, problem)


@pytest.mark.parametrize("service", SERVICES)
async def test_probes_answer_by_any_name_and_nothing_else_does(service: str) -> None:
    async with served(service) as (url, _):
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{url}{path}", headers={"Host": "evil.example"}) as response,
            ):
                assert response.status in (200, 503), path
        status, content_type, problem = await ask(url, "GET", "/nothing", {"Host": "evil.example"}, b"")
        assert (status, content_type) == (421, "application/problem+json")
        assert "ATLAS_HTTP_HOSTS" in problem["detail"]
