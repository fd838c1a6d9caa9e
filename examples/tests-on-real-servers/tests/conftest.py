"""Beside the fixtures of Atlas, which pytest.ini names: servers are started at the first test that asks for one."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from atlas_local.testing import Servers, database_url
from invoices import TABLE


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[str]:
    """The DSN of a new database with this project's table. It takes the place of Atlas's, which has Atlas's tables."""
    name = f"invoices_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(servers.postgres_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    dsn = database_url(servers.postgres_dsn, name)
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLE)
    await connection.close()
    yield dsn
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()
