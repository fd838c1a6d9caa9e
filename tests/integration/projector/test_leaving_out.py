"""A forged event: seen by comparing, left out of a rebuild, and the read model is its owner's again."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import typer
from atlas_cli.commands.read_models.compare import register
from atlas_hauls.projections.hauls import HAULS
from atlas_kafka.producing.producer import Delivery
from atlas_projector.rebuilding.rebuild import Options, Progress, rebuild
from atlas_projector.routes import projection_routes
from atlas_projector.settings import ProjectorSettings
from atlas_projector.source import open_topic_source
from atlas_projector.waiting.leaving_out import leaving_out_routes
from atlas_readmodel.documents import Documents
from atlas_readmodel.waiting.parking import Decision, Ruling
from atlas_runtime.serving.probes import Health, serve_probes
from atlas_yards.projection import YARDS
from typer.testing import CliRunner

from tests.contexts import SCHEMAS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

RUNBOOK = Path(__file__).resolve().parents[3] / "docs" / "runbooks" / "a-read-model-disagrees.md"
YARD, OTHER = "0190f3c4-0000-7000-8000-000000000001", "0190f3c4-0000-7000-8000-000000000002"
_INSERT = """
INSERT INTO app.yards (yard_id, email, display_name, country, status, version, registered_at, updated_at)
VALUES ($1, $2, 'A', NULL, 'active', $3, 1, $4)
"""
_CHANGE = "UPDATE app.yards SET email = $2, version = $3, updated_at = $3 WHERE yard_id = $1"
Atlas = Callable[..., Any]


@pytest.fixture
async def atlas(rig: "Rig", monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Atlas]:
    """`await atlas("compare", "yards")`: exit code and JSON of the command, asked of this rig's projector."""
    projections = {"yards": rig.pointed(YARDS), "hauls": rig.pointed(HAULS)}
    stores = {name: rig.stores.of(projection.model) for name, projection in projections.items()}
    app = typer.Typer()
    register(app)
    routes = leaving_out_routes(projections, stores)
    async with serve_probes(ProjectorSettings(http_port=0), Health("projector"), routes=routes) as port:
        for name, value in {
            "PROJECTOR_URL": f"http://127.0.0.1:{port}",
            "KAFKA_BROKERS": rig.servers.kafka_brokers,
            "POSTGRES_DSN": rig.dsn,
            "READMODEL_DSN": rig.dsn,
        }.items():
            monkeypatch.setenv(f"ATLAS_{name}", value)

        async def call(*arguments: str) -> Any:
            result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            return result.exit_code, json.loads(result.output)

        yield call


async def change(rig: "Rig", yard: str, version: int, email: str) -> Any:
    value = {"yard_id": yard, "email": email, "display_name": "A", "country": None, "changed_at": version}
    return await rig.send("yards.YardProfileChanged", value, key=yard, sequence=version, partition=0)


async def forged_in_between(rig: "Rig") -> tuple[Delivery, Delivery]:
    """Case 14: somebody says version 2 before its owner does, who is then taken for a repeat; both records."""
    value = {"yard_id": YARD, "reason": None, "deactivated_at": 7}
    headers = [
        ("ce_type", b"yards.YardDeactivated"),
        ("ce_source", b"/x"),
        ("ce_id", b"f"),
        ("ce_sequence", b"2"),
    ]
    framed = rig.codec.encode("yards.YardDeactivated", value)
    forged = await rig.send_raw(framed, key=YARD, headers=headers, partition=0)
    await rig.pool.execute(_CHANGE, YARD, "two@x", 2)
    return forged, await change(rig, YARD, 2, "two@x")


async def test_a_forged_event_is_found_left_out_and_mended(rig: "Rig", atlas: Atlas) -> None:
    yards = rig.pointed(YARDS)
    for yard, email in ((YARD, "one@x"), (OTHER, "other@x")):
        await rig.pool.execute(_INSERT, yard, email, 1, 1)
        await rig.register(yard, email=email, partition=0)
    await rig.projected(yards)
    assert await atlas("compare", "yards") == (
        0,
        {"projection": "yards", "owner": "app.yards", "compared": 2, "differences": [], "suspects": []},
    )
    forged, true = await forged_in_between(rig)
    await rig.projected(yards)
    code, found = await atlas("compare", "yards", "--settle", "0.3")
    assert (code, found["compared"]) == (1, 2)
    (difference,) = found["differences"]
    assert (difference["key"], difference["verdict"]) == (YARD, "differs at the same version")
    assert difference["fields"]["status"] == {"owner": "active", "read_model": "deactivated"}
    suspected = {each["id"].rpartition("@")[2]: each for each in found["suspects"]}
    assert suspected.keys() == {str(forged.offset), str(true.offset)}
    bad = suspected[str(forged.offset)]
    assert bad["why"] == ["source /x, where most have None", f"version 2 is also at 0@{true.offset}"]
    assert bad["id"] == f"yards/{rig.topic}/0@{forged.offset}"

    assert await atlas("leave-out", bad["id"], "--reason", "forged") == (0, {"left_out": [bad["id"]]})
    place = (rig.topic, 0, forged.offset)
    assert await rig.stores.of(yards.model).ruling(place) is Decision.SKIPPED
    assert await rig.pool.fetchval("SELECT error FROM readmodel.dead_letters") == "forged"
    async with open_topic_source(rig.servers.kafka_brokers, yards.topics, "test") as source:
        await rebuild(yards, rig.stores, rig.codec, source, Progress(), Options())
    assert (await atlas("compare", "yards"))[0] == 0
    # It stays left out, and live goes on from there.
    await rig.pool.execute(
        "UPDATE app.yards SET email = 'three@x', version = 3, updated_at = 3 WHERE yard_id = $1", YARD
    )
    await change(rig, YARD, 3, "three@x")
    await rig.projected(yards)
    assert (await atlas("compare", "yards"))[0] == 0


async def test_the_runbook_as_it_is_written(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    live = rig.live(yards)
    for yard, email in ((YARD, "one@x"), (OTHER, "other@x")):
        await rig.pool.execute(_INSERT, yard, email, 1, 1)
        await rig.register(yard, email=email, partition=0)
    forged, _ = await forged_in_between(rig)
    routes = projection_routes(rig.stores, {"yards": live}, rig.rebuilds(live))
    routes += leaving_out_routes({"yards": yards}, {"yards": rig.stores.of(yards.model)})
    async with (
        rig.running(live),
        serve_probes(ProjectorSettings(http_port=0), Health("projector"), routes=routes) as port,
    ):
        await rig.settled(yards)
        env = {
            **os.environ,
            "ATLAS_PROJECTOR_URL": f"http://127.0.0.1:{port}",
            "ATLAS_KAFKA_BROKERS": rig.servers.kafka_brokers,
            "ATLAS_POSTGRES_DSN": rig.dsn,
            "ATLAS_READMODEL_DSN": rig.dsn,
            "ATLAS_SCHEMAS_DIR": str(SCHEMAS),
            "COLUMNS": "200",
        }
        codes, said = [], []
        for line in re.findall(r"^ *\$ atlas (.+)$", RUNBOOK.read_text(), re.MULTILINE):
            meant = (
                line.replace("bookings", "yards")
                .replace("yards.events/0@17", f"{rig.topic}/0@{forged.offset}")
                .replace("yards.events", rig.topic)
            )
            words = shlex.split(meant.replace("KEY", YARD))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "atlas_cli.main", *words),
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            out, err = await process.communicate()
            codes.append((words[0], process.returncode))
            said.append(out.decode() + err.decode())
    assert codes == [("compare", 1), ("tail", 0), ("leave-out", 0), ("rebuild", 0), ("compare", 0)], said
    assert f"yards/{rig.topic}/0@{forged.offset}" in said[0]
    assert "YardDeactivated" in said[1]
    assert "2 entities, all as their owner has them" in said[4]


async def test_documents_keep_such_decisions_too(rig: "Rig", kept: Any) -> None:
    yards = rig.pointed(kept(YARDS))
    store = rig.stores.of(yards.model)
    await store.ensure_live()
    await store.rule([Ruling((rig.topic, 0, 7), Decision.SKIPPED, "forged, I say")])
    assert await store.ruling((rig.topic, 0, 7)) is Decision.SKIPPED
    assert await store.ruling((rig.topic, 0, 8)) is None


async def test_documents_are_not_compared(rig: "Rig") -> None:
    yards = rig.pointed(YARDS, table=Documents(YARDS.table.key), cached=False)
    routes = leaving_out_routes({"yards": yards}, {})
    async with (
        serve_probes(ProjectorSettings(http_port=0), Health("projector"), routes=routes) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/projections/yards/owner") as response,
    ):
        assert response.status == 409
        assert "documents in Redis" in await response.text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "hauls"), "does not say which table owns its rows"),
        (("compare", "nobody"), "no projection nobody; there are hauls, yards"),
        (("leave-out", "yards/other/0@1", "--reason", "x"), "is no record of yards"),
        (("leave-out", "yards/x", "--reason", "x"), "is no record of yards"),
        (("leave-out", "nobody/t/0@1", "--reason", "x"), "no projection nobody"),
        (("leave-out", "yards/t/0@1", "hauls/t/0@1", "--reason", "x"), "one projection at a time"),
        (("leave-out", "yards/t/0@1", "--reason", " "), "`reason`"),
    ],
)
async def test_what_can_not_be_is_said(atlas: Atlas, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(Exception, match=said):
        await atlas(*arguments)


async def test_what_waits_is_given_up_by_other_means(rig: "Rig", atlas: Atlas) -> None:
    sent = await rig.send_raw(b"garbage", key=YARD, partition=0)
    await rig.projected(rig.pointed(YARDS))
    with pytest.raises(Exception, match="waits and was not applied; atlas dlq drop"):
        await atlas("leave-out", f"yards/{rig.topic}/0@{sent.offset}", "--reason", "x")
