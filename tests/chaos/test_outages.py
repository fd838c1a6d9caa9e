"""A server is away for 20 s in mid-flow: writes are refused or wait, then everything arrives, once."""

import asyncio

import pytest
from atlas_local.testing import TestMesh

from tests.chaos.conftest import UnderTraffic

OUTAGE_S = 20

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("server", ["postgres", "kafka", "valkey", "s3"])
async def test_a_server_is_away(mesh: TestMesh, under_traffic: UnderTraffic, server: str) -> None:
    async with under_traffic() as traffic:
        await mesh.stop(server)
        await asyncio.sleep(OUTAGE_S)  # the length of the outage is the test's subject, not a wait for something
        await mesh.start(server)
        before = len(traffic.flights)
        await traffic.flows_again(before)
    if server in {"valkey", "s3"}:
        assert not traffic.failed, f"no write needs {server}"
