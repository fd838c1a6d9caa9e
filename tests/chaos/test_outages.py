"""A server is away for 20 s in mid-flow: writes are refused or wait, then everything arrives, once."""

import asyncio

import pytest
from atlas_local.testing import TestMesh

from tests.chaos.conftest import UnderTraffic

OUTAGE_S = 20

pytestmark = pytest.mark.chaos


async def test_each_server_is_away(mesh: TestMesh, under_traffic: UnderTraffic) -> None:
    async with under_traffic() as traffic:
        for server in ("valkey", "s3", "postgres", "kafka"):
            await mesh.stop(server)
            await asyncio.sleep(OUTAGE_S)  # the length of the outage is the test's subject, not a wait for something
            if server in {"valkey", "s3"}:
                assert not traffic.failed, f"no write needs {server}"
            await mesh.start(server)
            await traffic.flows_again(len(traffic.flights))
    assert traffic.failed, "the writes during an outage of PostgreSQL or Kafka were refused"
