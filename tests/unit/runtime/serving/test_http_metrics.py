"""Requests are counted by what the service knows of them."""

import asyncio
import uuid

import aiohttp
from aiohttp import web
from atlas_runtime.serving.probes import Health, serve_probes
from atlas_runtime.settings import ServiceSettings
from prometheus_client import REGISTRY


class Settings(ServiceSettings):
    service: str = "unit"
    http_port: int = 0


def _count(**labels: str) -> float:
    return REGISTRY.get_sample_value("atlas_http_requests_total", labels) or 0.0


def _series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in REGISTRY.collect()
        for sample in family.samples
        if family.name.startswith("atlas_")
    }


async def _item(request: web.Request) -> web.Response:
    if request.match_info["id"] == "fails":
        raise RuntimeError("no")
    if request.match_info["id"] == "missing":
        raise web.HTTPNotFound
    return web.Response(text="here")


ROUTES = [web.get("/unit/items/{id}", _item), web.post("/unit/items/{id}", _item)]


async def test_an_answer_is_counted_and_timed_by_its_route() -> None:
    route = "/unit/items/{id}"
    async with serve_probes(Settings(), Health("unit"), routes=ROUTES) as port, aiohttp.ClientSession() as client:
        for name in ("1", "2", "missing", "fails"):
            async with client.get(f"http://127.0.0.1:{port}/unit/items/{name}"):
                pass
        async with client.get(f"http://127.0.0.1:{port}/unit/nowhere"):
            pass
    found = {status: _count(method="GET", route=route, status=status) for status in ("200", "404", "500")}
    assert found == {"200": 2, "404": 1, "500": 1}
    assert REGISTRY.get_sample_value("atlas_http_request_seconds_count", {"method": "GET", "route": route}) == 4
    assert _count(method="GET", route="(no route)", status="404") >= 1


async def test_what_is_no_http_is_counted() -> None:
    before = _count(method="_OTHER", route="(no HTTP)", status="400")
    async with serve_probes(Settings(), Health("unit")) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"what is this\r\n\r\n")
        assert b"400" in await reader.readline()
        writer.close()
    assert _count(method="_OTHER", route="(no HTTP)", status="400") == before + 1


async def test_ids_paths_and_methods_that_a_caller_makes_up_make_no_series() -> None:
    async with serve_probes(Settings(), Health("unit"), routes=ROUTES) as port, aiohttp.ClientSession() as client:

        async def flood(times: int) -> None:
            for number in range(times):
                word = "".join(chr(ord("A") + int(digit)) for digit in str(number))
                for method, path in (
                    ("GET", f"/unit/items/{uuid.uuid4()}"),
                    ("GET", f"/unit/{uuid.uuid4()}?{uuid.uuid4()}"),
                    (f"MADE{word}", "/unit/items/1"),
                    (f"MADE{word}", f"/{uuid.uuid4()}"),
                    ("POST", f"/unit/items/{uuid.uuid4()}"),
                ):
                    headers = {"X-Request-ID": str(uuid.uuid4()), "Host": f"127.0.0.1:{number + 1}"}
                    async with client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers):
                        pass

        await flood(1)
        before = _series()
        await flood(50)
        assert _series() - before == set()
