"""A database without a table."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from atlas_local.testing import Servers, database_url


@pytest.fixture
async def fresh(servers: Servers) -> AsyncIterator[str]:
    """The administrator's DSN of a new, empty database."""
    name = f"init_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(servers.postgres_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield database_url(servers.postgres_dsn, name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()
