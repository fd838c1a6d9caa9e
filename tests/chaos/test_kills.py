"""kill -9 of each service in mid-flow: nothing is lost, nothing comes twice in read models and archive."""

import pytest
from atlas_local.testing import TestMesh

from tests.chaos.conftest import UnderTraffic

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("service", ["gateway", "relay", "projector", "archiver", "health-aggregator"])
async def test_a_service_is_killed(mesh: TestMesh, under_traffic: UnderTraffic, service: str) -> None:
    async with under_traffic() as traffic:
        for _ in range(2):
            restarts = await mesh.kill(service)
            await mesh.until_restarted(service, restarts)
            await traffic.flows_again(len(traffic.flights))
