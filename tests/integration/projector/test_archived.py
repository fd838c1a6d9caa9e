"""Rebuilds from the archive and the topic after it, by worker processes, into side tables."""

import asyncio
import os
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from atlas_archive.history import histories
from atlas_archive.store import S3Address, open_store
from atlas_hauls.projections.departures import BOARD_HAULS, DEPARTURES
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection
from atlas_projector.rebuilding import workers
from atlas_projector.rebuilding.archived import open_source
from atlas_projector.rebuilding.builder import Strict
from atlas_projector.rebuilding.rebuild import Options, Progress, rebuild
from atlas_projector.rebuilding.side import Selection, build_side
from atlas_projector.rebuilding.workers import Setup
from atlas_readmodel.postgres.writer import Advance, Batch
from atlas_yards.projection import YARDS

from tests.contexts import NAMES
from tests.declared import rename
from tests.neutral import PROJECTIONS

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration


@pytest.fixture
def address(rig: "Rig", bucket: str) -> S3Address:
    servers = rig.servers
    return S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)


async def archived(
    rig: "Rig", address: S3Address, tmp_path: Path, of: Path | None = None, named: str = "hauls.events"
) -> None:
    """Run an archiver until all that is on the topic now is in the bucket; the schemas are `of` the topic `named`."""
    schemas = tmp_path / "schemas"
    shutil.copytree(of or rig.setup.schemas_dir, schemas)
    rename(schemas, named, rig.topic)
    env = {
        "ATLAS_SERVICE": f"archiver-{uuid.uuid4().hex[:8]}",
        "ATLAS_HTTP_PORT": "0",
        "ATLAS_SCHEMAS_DIR": str(schemas),
        "ATLAS_KAFKA_BROKERS": rig.servers.kafka_brokers,
        "ATLAS_S3_ENDPOINT": address.endpoint or "",
        "ATLAS_S3_ACCESS_KEY": address.access_key,
        "ATLAS_S3_SECRET_KEY": address.secret_key,
        "ATLAS_S3_BUCKET": address.bucket,
        "ATLAS_ARCHIVER_SEGMENT_MAX_AGE_S": "0.2",
    }
    ends = await rig.ends()
    async with _archiver(env), open_store(address) as store, open_reader(rig.servers.kafka_brokers, "test") as reader:
        incarnation = (await topic_ids(reader._client, [rig.topic]))[rig.topic]

        async def all_of_it() -> bool:
            found = await histories(store, rig.topic, incarnation)
            return all(found[int(place.rsplit("/", 1)[1])].next_offset >= end for place, end in ends.items() if end)

        await wait_until("the archive to have the topic", lambda: _true_or_key_error(all_of_it), 60)


async def _true_or_key_error(condition: Any) -> bool:
    try:
        return bool(await condition())
    except KeyError:
        return False


@asynccontextmanager
async def _archiver(env: dict[str, str]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_archiver"),
        env={**os.environ, **env},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def eaten(rig: "Rig") -> None:
    """Retention deletes what is on the topic now."""
    ends = await rig.ends()
    async with open_admin(rig.servers.kafka_brokers) as admin:
        await admin.delete_records(
            {
                TopicPartition(rig.topic, int(place.rsplit("/", 1)[1])): RecordsToDelete(before_offset=end)
                for place, end in ends.items()
            }
        )


def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, projection: Projection) -> str:
    """Where a worker process finds the test's projection."""
    name = f"projections_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{name}.py").write_text(
        "from dataclasses import replace\nfrom atlas_runtime import contexts\n"
        f"ALL = contexts.flat(contexts.PROJECTIONS, {NAMES!r})\n"
        f"PROJECTIONS = tuple(replace(each, topics={projection.topics!r}) for each in ALL)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert projection.name in {each.name for each in PROJECTIONS}
    return f"{name}:PROJECTIONS"


async def run(rig: "Rig", projection: Projection, setup: Setup, progress: Progress | None = None) -> Any:
    async with open_source(rig.servers.kafka_brokers, projection.topics, "test", setup.archive) as source:
        return await rebuild(
            *(projection, rig.stores, rig.codec, source, progress or Progress()), Options(verify=True, setup=setup)
        )


@pytest.mark.parametrize(
    ("projection", "by_workers"),
    [(HAULS, True), (HAULS, False), (ROUTES, True), (DEPARTURES, True)],
    ids=["hauls by workers", "hauls here", "routes by workers", "departures by workers"],
)
async def test_what_retention_ate_comes_from_the_archive(
    rig: "Rig",
    address: S3Address,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    projection: Projection,
    by_workers: bool,
) -> None:
    pointed = rig.pointed(projection)
    await rig.fly(600)
    await archived(rig, address, tmp_path)
    await eaten(rig)
    await rig.fly(600, 600)  # only on the topic
    # What readers see was made by a live projector that saw all of it: here by a rebuild of its own into an empty one.
    monkeypatch.setattr("atlas_projector.rebuilding.rebuild.CLOSE_RECORDS", 0)
    monkeypatch.setattr(workers, "PARALLEL_FROM", 1)
    monkeypatch.setattr("atlas_projector.rebuilding.rebuild.PARALLEL_FROM", 1)
    path = known(monkeypatch, tmp_path, pointed)
    setup = replace(rig.setup, archive=address, projections=path, workers=2 if by_workers else 0)
    await _made_live(rig, pointed)
    progress = Progress()
    built = await run(rig, pointed, setup, progress)
    assert (progress.events, built.progress.phase) == (1200, "done")
    rows = await rig.rows(pointed)
    if projection is DEPARTURES:
        latest = sorted((f["scheduled_departure"], f["haul_id"]) for row in rows for f in row["hauls"])
        assert latest[-BOARD_HAULS:] == [(n, f"f{n}") for n in range(1200 - BOARD_HAULS, 1200)]
    else:
        assert (len(rows) if projection is HAULS else sum(row["hauls"] for row in rows)) == 1200


async def _made_live(rig: "Rig", projection: Projection) -> None:
    """A live generation of an older version at the end of the topic, which has no rows: only its place counts."""
    store = rig.stores.of(replace(projection, version=0).model)
    rows = store.rows((await store.ensure_live()).number)
    ends = {(rig.topic, int(place.rsplit("/", 1)[1])): end for place, end in (await rig.ends()).items()}
    await rows.add_positions(ends)
    await rows.write(Batch([Advance(*place, 0, end, 0) for place, end in ends.items()], {}))


async def test_a_worker_that_is_killed_stops_it_and_it_goes_on_where_it_was(
    rig: "Rig", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = rig.pointed(ROUTES)
    await rig.fly(4000)
    await rig.projected(routes)
    monkeypatch.setattr("atlas_projector.rebuilding.rebuild.PARALLEL_FROM", 1)
    monkeypatch.setattr("atlas_projector.rebuilding.rebuild.CLOSE_RECORDS", 0)
    # So slow that it is caught in the middle.
    setup = replace(rig.setup, projections=known(monkeypatch, tmp_path, routes), workers=1, load=0.01)
    task = asyncio.create_task(run(rig, routes, setup, progress := Progress()))
    await wait_until("the worker to be half-way", lambda: 0 < progress.events < 4000)
    for child in psutil.Process().children(recursive=True):
        if "atlas_projector.rebuilding.worker" in child.cmdline():
            child.send_signal(signal.SIGKILL)
    with pytest.raises(Exception, match="worker ended with code -9"):
        await task
    built = await run(rig, routes, replace(setup, load=1.0))
    assert built.comparison.identical


async def test_the_load_is_capped_here_as_well_but_not_while_the_live_one_is_held(
    rig: "Rig", monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = rig.pointed(ROUTES)
    await rig.fly(300)
    await rig.projected(routes)
    monkeypatch.setattr("atlas_projector.rebuilding.rebuild.CLOSE_RECORDS", 0)
    loads: list[float] = []
    advance = Strict.advance

    def noted(self: Strict, *arguments: Any) -> AsyncIterator[int]:
        loads.append(self.load)
        return advance(self, *arguments)

    monkeypatch.setattr(Strict, "advance", noted)
    assert (await run(rig, routes, replace(rig.setup, load=0.5))).comparison.identical
    assert loads == [0.5, 1.0, 1.0]  # reading; then level with the live one to compare, and to swap


async def test_part_of_the_history_into_a_side_table(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    for n in range(4):
        await rig.register(f"u{n}")
    await rig.projected(yards)
    async with open_source(rig.servers.kafka_brokers, yards.topics, "test", None) as source:
        for selection, expected in (
            (Selection("looked_into"), 4),
            (Selection("looked_into", key="u2"), 1),
            (Selection("looked_into", type="yards.YardDeactivated"), 0),
            (Selection("looked_into", until_ms=1), 0),
        ):
            rows = await build_side(yards, rig.stores, rig.codec, source, Progress(), selection)
            assert rows == expected
            assert await rig.pool.fetchval("SELECT count(*) FROM readmodel.looked_into") == expected
        with pytest.raises(Exception, match="is a projection"):
            await build_side(yards, rig.stores, rig.codec, source, Progress(), Selection("yards"))
    assert len(await rig.rows(yards)) == 4
