"""Each service is killed in mid-flow: nothing is lost, and nothing comes twice into read models or archive."""

import pytest
from atlas_local.testing import TestMesh

from tests.chaos.conftest import UnderTraffic

SERVICES = ("gateway", "relay", "projector", "archiver", "health-aggregator")

pytestmark = pytest.mark.chaos


async def test_each_service_is_killed(mesh: TestMesh, under_traffic: UnderTraffic) -> None:
    async with under_traffic() as traffic:
        for service in (*SERVICES, *SERVICES):
            restarts = await mesh.kill(service)
            await mesh.until_restarted(service, restarts)
            await traffic.flows_again(len(traffic.flights))
