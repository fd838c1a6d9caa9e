"""Servers are away for a while in mid-flow: writes are refused or wait, then everything arrives, once."""

import asyncio

import pytest
from atlas_local.testing import TestMesh

from tests.chaos.conftest import UnderTraffic

# Seconds, more than whatever waits for that server: a back-off and the breakers' pause (5), in this mesh the relay's
# lease (2), and with Kafka a session (3) and a request (15).
OUTAGES = ((("valkey", "s3"), 7), (("postgres",), 7), (("kafka",), 18))
NO_WRITE_NEEDS = {"valkey", "s3"}

pytestmark = pytest.mark.chaos


async def test_each_server_is_away(mesh: TestMesh, under_traffic: UnderTraffic) -> None:
    async with under_traffic() as traffic:
        for servers, seconds in OUTAGES:
            await asyncio.gather(*(mesh.stop(server) for server in servers))
            await asyncio.sleep(seconds)  # the length of the outage is the test's subject, not a wait for something
            if NO_WRITE_NEEDS.issuperset(servers):
                assert not traffic.failed, f"no write needs {servers}"
            await asyncio.gather(*(mesh.start(server) for server in servers))
            await traffic.flows_again(len(traffic.hauls))
    assert traffic.failed, "the writes during an outage of PostgreSQL or Kafka were refused"
