"""CORS: which origins are let in."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from atlas_gateway.middleware import cors


async def ok(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize(
    ("origins", "origin", "let_in"),
    [
        (("http://localhost:*",), "http://localhost", True),
        (("http://localhost:*",), "http://localhost:3000", True),
        (("http://localhost:*",), "https://localhost:3000", False),
        (("http://localhost:*",), "http://localhost:3000.evil.example", False),
        (("https://app.example.org",), "https://app.example.org", True),
        (("https://app.example.org",), "https://app-example.org", False),
        (("*",), "https://anyone.example", True),
        ((), "http://localhost", False),
    ],
)
async def test_origins(origins: tuple[str, ...], origin: str, let_in: bool) -> None:
    middleware: Any = cors(origins)
    response = await middleware(make_mocked_request("GET", "/", headers={"Origin": origin}), ok)
    assert ("Access-Control-Allow-Origin" in response.headers) is let_in
