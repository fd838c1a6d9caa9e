"""Each service is killed in mid-flow, then all at once: nothing is lost, nothing comes twice anywhere."""

import asyncio

import pytest
from atlas_local.testing import TestMesh

from tests.chaos.conftest import UnderTraffic

SERVICES = ("gateway", "relay", "projector", "archiver", "health-aggregator")

pytestmark = pytest.mark.chaos


async def test_each_service_is_killed(mesh: TestMesh, under_traffic: UnderTraffic) -> None:
    async def is_killed(service: str) -> None:
        await mesh.until_restarted(service, await mesh.kill(service))

    async with under_traffic() as traffic:
        for service in SERVICES:
            await is_killed(service)
            await traffic.flows_again(len(traffic.hauls))
        await asyncio.gather(*(is_killed(service) for service in SERVICES))
        await traffic.flows_again(len(traffic.hauls))
