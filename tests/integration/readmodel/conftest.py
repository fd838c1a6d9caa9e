"""A pool on a fresh database, and a cache of its own."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from atlas_local.testing import Servers
from atlas_readmodel.cache import Cache, open_cache
from atlas_readmodel.documents import DocumentModel
from atlas_readmodel.postgres.pg_codecs import set_codecs
from atlas_readmodel.store import Store
from atlas_readmodel.stores import Stores, open_stores
from atlas_readmodel.table import ReadModel

from tests.integration.readmodel.things import MODELS


@pytest.fixture
async def pool(database: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with asyncpg.create_pool(database, min_size=1, max_size=10, command_timeout=20, init=set_codecs) as opened:
        yield opened


@pytest.fixture
async def cache(servers: Servers, unique: str) -> AsyncIterator[Cache]:
    async with open_cache(servers.redis_url, namespace=unique) as opened:
        yield opened


@pytest.fixture
def unique() -> str:
    """A name nobody else uses in the shared Redis."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def dsn(request: pytest.FixtureRequest) -> str:
    """A database of this test; a place that is never connected to where all is in Redis."""
    callspec = getattr(request.node, "callspec", None)
    in_redis = callspec is not None and callspec.params.get("model") == "documents"
    return "postgresql://nowhere" if in_redis else str(request.getfixturevalue("database"))


@pytest.fixture
async def stores(servers: Servers, dsn: str, unique: str) -> AsyncIterator[Stores]:
    async with open_stores(dsn, servers.redis_url, unique, max_size=8) as opened:
        yield opened
        if names := [name async for name in opened.redis.scan_iter(f"{unique}:*")]:
            await opened.redis.delete(*names)


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> ReadModel | DocumentModel:
    return MODELS[request.param]


@pytest.fixture
def store(stores: Stores, model: ReadModel | DocumentModel) -> Store:
    return stores.of(model)
