"""Rebuilds on the real servers: the same rows, a swap nobody notices, and every way to stop half-way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from atlas_hauls.projections.departures import DEPARTURES
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_projection.projection import Projection
from atlas_projector.rebuilding.builder import RebuildError
from atlas_projector.rebuilding.rebuild import NotIdentical, Options, Progress, Rebuilt, rebuild
from atlas_projector.source import Batches, Positions, RecordsGone, TopicSource, open_topic_source
from atlas_readmodel.reader import Reader
from atlas_yards.projection import YARDS

from tests import neutral

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

Kept = Callable[[Projection], Projection]

pytestmark = pytest.mark.integration


async def run(rig: "Rig", projection: Projection, *, verify: bool = True, progress: Progress | None = None) -> Rebuilt:
    async with open_topic_source(rig.servers.kafka_brokers, projection.topics, "test-rebuild") as source:
        return await rebuild(projection, rig.stores, rig.codec, source, progress or Progress(), Options(verify))


@pytest.mark.parametrize("projection", [HAULS, ROUTES, DEPARTURES], ids=lambda projection: str(projection.name))
async def test_a_rebuild_gives_the_same_rows(rig: "Rig", projection: Projection) -> None:
    pointed = rig.pointed(projection)
    await rig.fly(1200)
    await rig.projected(pointed)
    before = await rig.rows(pointed)
    progress = Progress()
    built = await run(rig, pointed, progress=progress)
    assert built.comparison is not None
    assert (built.comparison.identical, built.comparison.rows) == (True, built.rows)
    assert (progress.phase, progress.events, progress.remaining) == ("done", 1200, 0)
    assert await rig.live_generation(pointed) == 2
    assert await rig.rows(pointed) == before
    assert await rig.rows(pointed, 1) == await rig.rows(pointed, 2)


async def test_the_live_loop_goes_on_with_the_new_generation(rig: "Rig") -> None:
    routes = rig.pointed(ROUTES)
    live = rig.live(routes)
    async with rig.running(live):
        await rig.fly(200)
        await rig.settled(routes)
        built = await run(rig, routes)
        await live.swapped(built.epoch)
        await rig.fly(200, 200)
        await rig.settled(routes)
        assert live.state()["generation"] == 2
    assert sum(row["hauls"] for row in await rig.rows(routes)) == 400
    assert sum(row["hauls"] for row in await rig.rows(routes, 1)) == 200


async def test_reads_and_writes_go_on_during_rebuilds(rig: "Rig") -> None:
    """Counters that readers see never fall, no read fails, nothing is lost or counted twice."""
    routes, stop = rig.pointed(ROUTES), asyncio.Event()
    reader = Reader(rig.pool, rig.cache)
    counts: list[int] = []
    sent = 0

    async def write() -> None:
        nonlocal sent
        while not stop.is_set():
            await rig.fly(100, sent)
            sent += 100

    async def read() -> None:
        while not stop.is_set():
            counts.append(sum(row["hauls"] for row in (await neutral.page(reader, "routes")).items))
            await asyncio.sleep(0)

    await rig.fly(10, 10**6)
    live = rig.live(routes)
    async with rig.running(live):
        await rig.settled(routes)
        tasks = [asyncio.create_task(write()), asyncio.create_task(read())]
        for _ in range(3):
            built = await run(rig, routes)
            assert built.comparison is not None
            assert built.comparison.identical
            await live.swapped(built.epoch)
        stop.set()
        await asyncio.gather(*tasks)
        await rig.settled(routes)
    assert counts == sorted(counts)
    assert sum(row["hauls"] for row in await rig.rows(routes)) == sent + 10
    assert await rig.live_generation(routes) == 4
    assert await rig.pool.fetchval("SELECT to_regclass('readmodel.routes_g2')") is None


async def test_an_empty_topic_is_done_at_once(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    built = await run(rig, yards)
    assert (built.rows, built.progress.events) == (0, 0)
    assert built.comparison is not None
    assert await rig.live_generation(yards) == 2


class Interrupted(TopicSource):
    """Gives so many batches, then never another."""

    batches = 3

    async def read(self, start: Positions, until: Positions) -> Batches:
        async for records in _bounded(super().read(start, until), self.batches):
            yield records


async def _bounded(batches: Batches, count: int) -> Batches:
    async for records in batches:
        if count == 0:
            await asyncio.Event().wait()
        count -= 1
        yield records


async def test_cancelled_and_gone_on_with(rig: "Rig", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atlas_projector.source.MAX_RECORDS", 100)
    monkeypatch.setattr("atlas_projector.rebuilding.rebuild.CLOSE_RECORDS", 0)
    routes = rig.pointed(ROUTES)
    await rig.fly(1000)
    await rig.projected(routes)
    before, progress = await rig.rows(routes), Progress()
    async with open_topic_source(rig.servers.kafka_brokers, routes.topics, "test") as source:
        stuck = Interrupted(source._consumer, routes.topics)
        task = asyncio.create_task(rebuild(routes, rig.stores, rig.codec, stuck, progress))
        from atlas_local.waiting import wait_until

        await wait_until("it is half-way", lambda: progress.events >= 200)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await rig.live_generation(routes) == 1
    assert await rig.rows(routes) == before
    again = Progress()
    built = await run(rig, routes, progress=again)
    assert built.comparison is not None
    assert built.comparison.identical
    assert 0 < again.events < 1000
    assert again.to_generation == progress.to_generation == 2


async def test_one_process_at_a_time(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    async with rig.pool.acquire() as other:
        await other.execute("SELECT pg_advisory_lock(hashtextextended('atlas rebuild yards', 0))")
        with pytest.raises(RebuildError, match="another process"):
            await run(rig, yards)
    await run(rig, yards)


async def test_what_live_set_aside_is_passed_over_and_nothing_else(rig: "Rig", kept: Kept) -> None:
    yards = rig.pointed(kept(YARDS))
    await rig.register("u1")
    await rig.send_raw(b"garbage", key="u1")
    await rig.register("u2")
    await rig.projected(yards)
    built = await run(rig, yards)
    assert built.comparison is not None
    assert (built.comparison.identical, built.rows, built.progress.passed_over) == (True, 2, 1)
    await rig.pool.execute("DELETE FROM readmodel.dead_letters")
    await rig.stores.redis.delete(f"{rig.topic}:{{yards}}:rulings")
    with pytest.raises(RebuildError, match="not framed Avro"):
        await run(rig, yards)
    assert await rig.live_generation(yards) == 2


async def test_rows_that_differ_are_not_swapped_unless_wanted(rig: "Rig") -> None:
    hauls = rig.pointed(HAULS)
    await rig.fly(50)
    await rig.projected(hauls)
    await rig.pool.execute("UPDATE readmodel.hauls_g1 SET carrier = 'XX' WHERE haul_id IN ('f3', 'f4')")
    await rig.pool.execute("DELETE FROM readmodel.hauls_g1 WHERE haul_id = 'f5'")
    with pytest.raises(NotIdentical, match="3 rows") as raised:
        await run(rig, hauls)
    assert raised.value.comparison.different_rows == 3
    assert await rig.live_generation(hauls) == 1
    built = await run(rig, hauls, verify=False)
    assert built.comparison is None
    assert len(await rig.rows(hauls)) == 50
    assert await rig.pool.fetchval("SELECT count(*) FROM readmodel.hauls WHERE carrier = 'XX'") == 0


async def test_records_that_retention_deleted_stop_it(rig: "Rig") -> None:
    hauls = rig.pointed(HAULS)
    await rig.fly(50)
    await rig.projected(hauls)

    class Eaten(TopicSource):
        async def read(self, start: Positions, until: Positions) -> AsyncIterator[dict[TopicPartition, list[Any]]]:
            await _delete_before(rig, 0, 5)
            async for records in super().read(start, until):
                yield records

    async with open_topic_source(rig.servers.kafka_brokers, hauls.topics, "test") as source:
        eaten = Eaten(source._consumer, hauls.topics)
        with pytest.raises(RecordsGone, match="begins at offset 5"):
            await rebuild(hauls, rig.stores, rig.codec, eaten, Progress())
    assert await rig.live_generation(hauls) == 1


async def _delete_before(rig: "Rig", partition: int, offset: int) -> None:
    from aiokafka.admin import RecordsToDelete
    from atlas_kafka.cluster.admin import open_admin

    async with open_admin(rig.servers.kafka_brokers) as admin:
        await admin.delete_records({TopicPartition(rig.topic, partition): RecordsToDelete(before_offset=offset)})
