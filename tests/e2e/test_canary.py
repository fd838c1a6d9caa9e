"""Canaries on a whole mesh: each way is measured to its end, and what stands still is where they are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from atlas_contracts.canary import PATH
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_health_aggregator.canary.journeys import STAGES
from atlas_health_aggregator.canary.prober import Prober
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until
from prometheus_client.parser import text_string_to_metric_families

from tests.collector import Collector
from tests.contexts import SCHEMAS
from tests.e2e.test_runbook_outbox import Shell

pytestmark = pytest.mark.e2e

WITHIN_S = 60
POSTED_TO = "health.canary-events"
ALL = {(way, stage) for way, stages in STAGES.items() for stage in stages}
Counts = dict[tuple[str, str], float]


@pytest.fixture
def flown(traced: tuple[TestMesh, Collector]) -> TestMesh:
    return traced[0]


async def counted(mesh: TestMesh, name: str) -> Counts:
    """A metric of canaries by way and stage."""
    async with aiohttp.ClientSession() as session, session.get(f"{mesh.url('health-aggregator')}/metrics") as response:
        text = await response.text()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(each.labels["way"], each.labels["stage"]): each.value for each in samples if each.name == name}


arrived = partial(counted, name="atlas_canary_stage_seconds_count")
lost = partial(counted, name="atlas_canary_lost_total")
failed = partial(counted, name="atlas_canary_failed_total")


async def until_more(what: str, mesh: TestMesh, count: partial[object], *places: tuple[str, str]) -> None:
    """Wait until each of these counts more than now."""
    before = await counted(mesh, **count.keywords)

    async def more() -> bool:
        now = await counted(mesh, **count.keywords)
        return all(now[place] > before[place] for place in places)

    await wait_until(what, more, WITHIN_S)


@asynccontextmanager
async def without(mesh: TestMesh, part: str) -> AsyncIterator[None]:
    await mesh.stop(part)
    try:
        yield
    finally:
        await mesh.start(part)


async def recent(mesh: TestMesh, canary_id: str) -> set[int]:
    """The canaries of this id that a query shows."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{mesh.url('gateway')}{PATH}/{canary_id}") as response,
    ):
        return set((await response.json())["recent"]) if response.status == 200 else set()


async def test_each_way_is_measured_at_each_stage(flown: TestMesh) -> None:
    await until_more("a canary at each stage", flown, arrived, *ALL)
    assert set(await arrived(flown)) == set(await lost(flown)) == set(await failed(flown)) == ALL


async def test_no_statistic_of_the_archive_has_them(flown: TestMesh) -> None:
    await until_more("an archived canary", flown, arrived, ("archive", "archived"))
    shell = Shell(flown)
    assert POSTED_TO not in await shell.run("atlas archive ls")
    assert POSTED_TO in await shell.run(f"atlas archive ls {POSTED_TO} --json")
    async with aiohttp.ClientSession() as session, session.get(f"{flown.url('archiver')}/metrics") as response:
        lines = [line for line in (await response.text()).splitlines() if POSTED_TO in line]
    assert {line.partition("{")[0] for line in lines if line.startswith("atlas_archiver_")} == {
        "atlas_archiver_next_offset",
        "atlas_archiver_gone_offsets",
    }


async def test_a_second_aggregator_has_canaries_of_its_own(flown: TestMesh) -> None:
    fields = {name.removeprefix("ATLAS_").lower(): value for name, value in flown.env.items()}
    settings = HealthAggregatorSettings.model_validate({**fields, "instance": "a second/one", "schemas_dir": SCHEMAS})
    registry = Registry.load(SCHEMAS)
    flying = asyncio.create_task(Prober(settings, registry, Codec(registry)).run())
    try:
        for way in ("command", "event"):

            async def shown(way: str = way) -> bool:
                return len(await recent(flown, f"a-second-one.{way}")) > 1

            await wait_until(f"canaries of the second one, as {way}", shown, WITHIN_S)
    finally:
        flying.cancel()
        await asyncio.wait([flying])
    assert flying.cancelled()
    await until_more("those of the first one", flown, arrived, ("event", "visible"), ("command", "visible"))


async def test_without_a_projector_they_are_lost_where_they_would_be_projected(flown: TestMesh) -> None:
    before = await lost(flown)
    async with without(flown, "projector"):
        await until_more("lost canaries", flown, lost, ("command", "projected"), ("event", "projected"))
        await until_more("others on their topics", flown, arrived, ("command", "on_topic"), ("archive", "archived"))
        now = await lost(flown)
    assert {place: now[place] for place in ALL if place[1] != "projected"} == {
        place: before[place] for place in ALL if place[1] != "projected"
    }
    await until_more("canaries again", flown, arrived, ("command", "visible"), ("event", "visible"))


async def test_without_a_relay_commands_are_lost_before_their_topic_and_events_are_not(flown: TestMesh) -> None:
    before = await lost(flown)
    async with without(flown, "relay"):
        await until_more("lost commands", flown, lost, ("command", "on_topic"))
        await until_more("events all the same", flown, arrived, ("event", "visible"))
        now = await lost(flown)
    assert now["event", "on_topic"] == before["event", "on_topic"]


async def test_without_a_gateway_they_fail_and_are_not_lost(flown: TestMesh) -> None:
    await until_more("canaries", flown, arrived, ("command", "visible"), ("event", "visible"))
    async with without(flown, "gateway"):
        before = await lost(flown)
        await until_more("failed canaries", flown, failed, ("command", "accepted"), ("event", "accepted"))
        assert await lost(flown) == before
    await until_more("canaries again", flown, arrived, ("command", "visible"), ("event", "visible"))


async def test_a_restart_of_the_aggregator_counts_nothing_that_was_on_its_way(flown: TestMesh) -> None:
    async with without(flown, "projector"):
        await until_more("canaries on their topic", flown, arrived, ("event", "on_topic"), ("command", "on_topic"))
        async with without(flown, "health-aggregator"):
            pass
        assert not any((await lost(flown)).values())
    await until_more("canaries again", flown, arrived, *ALL)
