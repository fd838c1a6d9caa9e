"""A projection that is at fault itself: it alone stops, and says where and why; the others run."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection, Row, Value
from atlas_projector import app
from atlas_projector.apply import verdicts
from atlas_projector.live import Live
from atlas_projector.settings import ProjectorSettings
from atlas_readmodel.table import Table
from atlas_runtime.serving.probes import Health
from atlas_yards.projection import YARDS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

TABLE = Table({"yard_id": "text NOT NULL", "tags": "text"}, ("yard_id",))


def listing(_row: Row | None, event: Value, _meta: Any) -> Row:
    return {"yard_id": event["yard_id"], "tags": ["a", "list"]}


@asynccontextmanager
async def running(rig: "Rig", *projections: Projection) -> AsyncIterator[tuple[Health, list[Live]]]:
    """As the service runs them; each in a group of this test."""
    settings = ProjectorSettings(kafka_brokers=rig.servers.kafka_brokers)
    health, stop, lives = Health("projector"), asyncio.Event(), [rig.live(each) for each in projections]
    async with asyncio.TaskGroup() as group:
        for live in lives:
            group.create_task(app.project(live, settings, rig.rebuilds(*lives), health, stop))
        try:
            yield health, lives
        finally:
            stop.set()


def named(rig: "Rig", projection: Projection, name: str, **changed: Any) -> Projection:
    return rig.pointed(projection, name=f"{name}_{uuid.uuid4().hex[:8]}", **changed)


async def test_one_whose_rows_are_all_rubbish_stops_alone_and_is_named(
    rig: "Rig", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FAILED_RETRY_S", 60.0)
    yards = named(rig, YARDS, "yards")
    rubbish = named(
        rig, replace(YARDS, versioned=None, cached=False, table=TABLE), "rubbish",
        handlers={"yards.YardRegistered": listing},
    )  # fmt: skip
    for n in range(verdicts.FIRST_BAD_MAX + 5):
        await rig.register(f"u{n}", partition=0)
    async with running(rig, yards, rubbish) as (health, (good, bad)):
        await rig.settled(yards)
        await wait_until("the other has failed", lambda: bad.state()["state"] == "failed")
        assert good.state()["state"] == "running"
        reason = bad.state()["reason"]
        assert "column tags: expected str, got list, found ['a', 'list']" in reason
        assert f"{rig.topic}/0@" in reason
        assert list(await health.reasons()) == [f"projection {rubbish.name}"]
        await rig.register("later")
        await rig.settled(yards)


async def test_it_goes_on_once_it_is_right_with_nothing_lost(rig: "Rig", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "FAILED_RETRY_S", 0.1)
    monkeypatch.setattr(verdicts, "FAILING_FROM", 1000)
    mended = False

    def handler(_row: Row | None, event: Value, _meta: Any) -> Row:
        return {"yard_id": event["yard_id"], "tags": "right" if mended else 7}

    odd = named(
        rig, replace(YARDS, versioned=None, cached=False, table=TABLE), "odd",
        handlers={"yards.YardRegistered": handler},
    )  # fmt: skip
    count = 60 * verdicts.FIRST_BAD_MAX
    await asyncio.gather(*(rig.register(f"u{n}", partition=0) for n in range(count)))
    async with running(rig, odd) as (_, (live,)):
        await wait_until("it has failed", lambda: live.state()["state"] == "failed")
        mended = True
        await rig.settled(odd)
        await wait_until("it runs", lambda: live.state()["state"] == "running")
    assert len(await rig.rows(odd)) + len(await rig.waiting(odd)) == count
    assert len(await rig.waiting(odd)) < count / 2


async def test_one_whose_every_record_is_set_aside_is_not_running(rig: "Rig") -> None:
    """Case 32: versions that nobody gives. Also after a restart, when nothing comes any more."""
    yards = named(rig, YARDS, "unversioned")
    value = {"yard_id": "u", "email": "a", "display_name": "A", "country": None, "registered_at": 1}
    for n in range(5):
        await rig.send("yards.YardRegistered", value, key=f"u{n}", partition=0)
    for _ in range(2):
        async with running(rig, yards) as (health, (live,)):
            await rig.settled(yards)
            await wait_until("it says so", lambda: live.state()["state"] == "failing")
            assert "the last 5 records were all set aside" in live.state()["reason"]
            assert "it has no ce_sequence header" in live.state()["reason"]
            assert list(await health.reasons()) == [f"projection {yards.name}"]


async def test_a_table_that_is_gone_stops_its_projection_alone(rig: "Rig", monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else it fails of: the process lives, and it goes on when it can."""
    monkeypatch.setattr(app, "FAILED_RETRY_S", 0.2)
    yards, others = named(rig, YARDS, "yards"), named(rig, YARDS, "others")
    async with running(rig, yards, others) as (_, (one, _other)):
        await rig.register("u1")
        await rig.settled(yards)
        await rig.settled(others)
        await rig.pool.execute(f"ALTER TABLE readmodel.{yards.name}_g1 RENAME TO hidden")
        await rig.register("u2")
        await rig.settled(others)
        await wait_until("it has failed", lambda: one.state()["state"] == "failed")
        assert "UndefinedTableError" in one.state()["reason"]
        await rig.pool.execute(f"ALTER TABLE readmodel.hidden RENAME TO {yards.name}_g1")
        await rig.settled(yards)
    assert {row["yard_id"] for row in await rig.rows(yards)} == {"u1", "u2"}
    assert await rig.waiting(yards) == []
