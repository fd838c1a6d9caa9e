"""The clock of a real PostgreSQL, as the gateway, the relay and the projector ask for it."""

import time

import asyncpg
import pytest
from atlas_local.testing import Servers
from atlas_runtime.observing.clock import POSTGRES_NOW, Clock

pytestmark = pytest.mark.integration


async def test_an_hour_off_is_said_and_a_right_clock_is_not(servers: Servers) -> None:
    async with asyncpg.create_pool(servers.postgres_dsn, min_size=0, max_size=1) as pool:
        for off_s, told in ((0, None), (3600, "3600 s ahead of"), (-3600, "3600 s behind")):
            asked: list[float] = []

            async def theirs(asked: list[float] = asked) -> float:
                asked.append(await pool.fetchval(POSTGRES_NOW))
                return asked[0]

            reason = await Clock("PostgreSQL", theirs, lambda off_s=off_s: time.time() + off_s).check()
            assert asked, "PostgreSQL was not asked"
            assert reason is None if told is None else told in str(reason)
