"""A pool on a fresh database, and a cache of its own."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from atlas_local.testing import Servers
from atlas_readmodel.cache import Cache, open_cache


@pytest.fixture
async def pool(database: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with asyncpg.create_pool(database, min_size=1, max_size=10, command_timeout=20) as opened:
        yield opened


@pytest.fixture
async def cache(servers: Servers, unique: str) -> AsyncIterator[Cache]:
    async with open_cache(servers.redis_url, namespace=unique) as opened:
        yield opened


@pytest.fixture
def unique() -> str:
    """A name nobody else uses in the shared Redis."""
    return f"t{uuid.uuid4().hex[:12]}"
