"""Routes of a context in this process, on a real database: what a gateway has around them and no more."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_gateway.middleware import context, problems
from atlas_gateway.opened import GATEWAY, Requests
from atlas_http.resources import RESOURCES
from atlas_http.routes import Route

Client = TestClient[Any, Any]


@asynccontextmanager
async def serving(
    dsn: str, schemas: Path, routes: Iterable[Route]
) -> AsyncIterator[tuple[Client, asyncpg.Pool, Codec]]:
    """A client of the routes, the database's pool, and the codec of the schemas."""
    registry = Registry.load(schemas)
    codec = Codec(registry)
    settings = SimpleNamespace(
        gateway_postgres_timeout_s=30,
        gateway_idempotency_ttl_s=60,
        gateway_body_max_bytes=10_000,
        gateway_caller_header="",
    )
    waker = SimpleNamespace(nudge=lambda: None)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        resources: Any = SimpleNamespace(
            settings=settings, registry=registry, codec=codec, pool=pool, waker=waker, requests=Requests()
        )
        app = web.Application(middlewares=[context, problems])
        app[RESOURCES] = app[GATEWAY] = resources
        app.add_routes([web.route(route.method, route.path, route.handler) for route in routes])
        async with TestClient(TestServer(app)) as client:
            yield client, pool, codec
