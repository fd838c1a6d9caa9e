"""Positions belong to a topic's id: what becomes of a projection whose topic was deleted, made again, or shrunk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from atlas_archive.store import S3Address
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection
from atlas_projector.live import Live
from atlas_projector.rebuilding.rebuilds import Rebuilds
from atlas_readmodel.reader import Reader
from atlas_yards.projection import YARDS

from tests import neutral
from tests.integration.projector.test_archived import archived

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

Kept = Callable[[Projection], Projection]


async def made_again(rig: "Rig", partitions: int = 2) -> None:
    """The rig's topic is another one of the same name, and empty."""
    async with open_admin(rig.servers.kafka_brokers) as admin:
        before = await topic_ids(admin._client, [rig.topic])
        await admin.delete_topics([rig.topic])

        async def gone() -> bool:
            return not await topic_ids(admin._client, [rig.topic])

        await wait_until("the topic to be gone", gone)
        await ensure_topics(rig.servers.kafka_brokers, [TopicSpec(rig.topic, partitions)])

        async def back() -> bool:
            return (await topic_ids(admin._client, [rig.topic])).get(rig.topic, "") not in ("", *before.values())

        await wait_until("the topic to be back", back)
        await rig.producer.client.force_metadata_update()


async def read_and_made_again(rig: "Rig", projection: Projection, before: int, after: int) -> None:
    """So many records of the old topic are projected, and so many of the new one are there."""
    await rig.fly(before)
    await rig.projected(projection)
    await made_again(rig)
    await rig.fly(after, start=100)


async def test_all_of_the_new_topic_is_read_and_what_was_read_is_kept(rig: "Rig", kept: Kept) -> None:
    """Case 40: three records were read of the old one; none of the eleven of the new one may be skipped."""
    routes = rig.pointed(kept(ROUTES))
    live = rig.live(routes)
    async with rig.running(live):
        await rig.fly(3)
        await rig.settled(routes)
        before = live.state()["events"]
        await made_again(rig)
        await rig.fly(11, start=100)
        await rig.settled(routes, 10)
        assert live.state()["events"] - before == 11
        await wait_until("the projection to be well", lambda: live.state()["state"] == "running")


async def test_while_the_projector_was_away(rig: "Rig", kept: Kept) -> None:
    routes = rig.pointed(kept(ROUTES))
    await rig.fly(3)
    await rig.projected(routes)
    await made_again(rig, partitions=1)
    await rig.fly(11, start=100)
    live = rig.live(routes)
    async with rig.running(live):
        await rig.settled(routes, 10)  # the position of the partition that is no more is forgotten
    assert live.state()["events"] == 11


async def test_with_the_rule_stop_it_stops_until_it_is_told_to_begin(rig: "Rig", kept: Kept) -> None:
    routes = rig.pointed(kept(ROUTES))
    await read_and_made_again(rig, routes, 3, 11)
    live = Live(routes, rig.stores.of(routes.model), rig.cache, rig.codec, rig.dead_letters, stops=[rig.topic])
    async with rig.running(live):
        command = f"atlas begin {routes.name}"
        await wait_until("what to do", lambda: command in str(live.state()["reason"]), 10)
        assert live.state()["state"] == "retrying"
        assert live.state()["events"] == 0
        assert await rig.rebuilds(live).begin_anew(routes.name) == [rig.topic]
        await rig.settled(routes, 15)
        assert live.state()["events"] == 11
        assert await rig.rebuilds(live).begin_anew(routes.name) == []


async def test_a_rebuild_takes_no_rows_of_the_topic_before_unasked(
    rig: "Rig", kept: Kept, bucket: str, tmp_path: Path
) -> None:
    """Known by the archive, which has the topic before as an incarnation of its own."""
    servers = rig.servers
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)
    routes = rig.pointed(kept(ROUTES))
    live = rig.live(routes)
    async with rig.running(live):
        await rig.fly(3)
        await rig.settled(routes)
        await archived(rig, address, tmp_path)
        await made_again(rig)
        await rig.fly(5, start=100)
        await rig.settled(routes, 10)
        rebuilds = Rebuilds(rig.stores, rig.codec, replace(rig.setup, archive=address, workers=0), {routes.name: live})
        rebuilds.start(routes.name, keep_rows=True)
        state = await rebuilds.wait(routes.name)
        assert state is not None
        # Those of three routes, whether or not the new topic has hauls of them too.
        assert (state["state"], state["asks"]) == ("failed", {"topics": [rig.topic], "missing_rows": 3})
        assert "3 rows that readers of" in state["error"]
        assert "nothing was swapped" in state["error"]
        rebuilds.start(routes.name)
        state = await rebuilds.wait(routes.name)
        assert state is not None
        assert (state["state"], state["asks"]) == ("done", None)
        rebuilds.start(routes.name, keep_rows=True)
        state = await rebuilds.wait(routes.name)
        assert state is not None
        assert state["state"] == "done", "nothing is missing any more"


async def test_what_waits_of_the_old_topic_is_kept_apart_and_can_still_be_retried(rig: "Rig", kept: Kept) -> None:
    yards = rig.pointed(kept(YARDS))
    live = rig.live(yards)
    async with rig.running(live):
        await rig.send_raw(b"no event", key="u1", headers=[("ce_sequence", b"1")], partition=0)
        await rig.register("u1", partition=0)
        await rig.settled(yards)
        old = {record.place: record.state for record in await rig.waiting(yards)}
        assert {(place[0], state.value) for place, state in old.items()} == {(rig.topic, "dead"), (rig.topic, "behind")}
        await made_again(rig)
        # The same offsets in the new topic: nothing that was noted of the old ones holds for them.
        await rig.register("u2", partition=0)
        await rig.register("u3", partition=0)

        async def projected() -> bool:
            return sorted(row["yard_id"] for row in await rig.rows(yards)) == ["u2", "u3"]

        await wait_until("the new topic's yards", projected, 10)
        waiting = await rig.waiting(yards)
        assert [place[1:] for place in old] == [record.place[1:] for record in waiting]
        assert {record.topic.partition(":")[0] for record in waiting} == {rig.topic}
        assert all(":" in record.topic for record in waiting)
        store = rig.stores.of(yards.model)
        assert [await store.ruling((rig.topic, *place[1:])) for place in old] == [None, None]
        dead = next(record.place for record in waiting if record.state == "dead")
        await store.ask("drop", [dead])

        async def none_waits() -> bool:
            return await rig.waiting(yards) == []

        await wait_until("the record behind it to be applied", none_waits)
        assert sorted(row["yard_id"] for row in await rig.rows(yards)) == ["u1", "u2", "u3"]


async def read_before_ids(rig: "Rig") -> Projection:
    """Of 20 records, by a version that noted no topic's id."""
    routes = rig.pointed(ROUTES)
    await rig.fly(20)
    await rig.projected(routes)
    await rig.pool.execute("UPDATE readmodel.positions SET topic_id = NULL")
    return routes


async def test_positions_of_before_there_were_ids_go_on(rig: "Rig") -> None:
    routes = await read_before_ids(rig)
    live = rig.live(routes)
    await rig.fly(5, start=50)
    async with rig.running(live):
        await rig.settled(routes)
    assert live.state()["events"] == 5
    assert await rig.pool.fetchval("SELECT count(*) FROM readmodel.positions WHERE topic_id IS NULL") == 0


async def test_positions_of_before_there_were_ids_past_the_end_are_of_another_topic(rig: "Rig") -> None:
    routes = await read_before_ids(rig)
    await made_again(rig)
    await rig.fly(4, start=50)
    live = rig.live(routes)
    async with rig.running(live):
        await rig.settled(routes)
    assert live.state()["events"] == 4


async def test_a_position_past_the_end_of_its_own_topic_is_a_state(rig: "Rig") -> None:
    routes = rig.pointed(ROUTES)
    await rig.fly(4)
    await rig.projected(routes)
    await rig.pool.execute("UPDATE readmodel.positions SET next_offset = 99")
    live = rig.live(routes)
    async with rig.running(live):
        await wait_until("the reason", lambda: "brokers have lost records" in str(live.state()["reason"]))
        assert live.state()["state"] == "retrying"


async def test_what_is_cached_of_before_counts_no_more(rig: "Rig") -> None:
    """Offsets begin again at 0: a row cached at a high one must not pass for newer than those that come."""
    yards = rig.pointed(YARDS)
    reader = Reader(rig.pool, rig.cache)
    async with rig.running(rig.live(yards)):
        for version in range(1, 6):
            await rig.register("u1", version, email=f"{version}@x", partition=0)
        await rig.settled(yards)
        assert (await neutral.row(reader, "yards", "u1") or {})["email"] == "5@x"
        epoch = await rig.pool.fetchval("SELECT epoch FROM readmodel.projections WHERE name = 'yards'")
        await made_again(rig)
        await rig.register("u1", 6, email="new@x", partition=0)
        await rig.settled(yards, 10)  # 1 is not 5: it has been read
        assert (await neutral.row(reader, "yards", "u1") or {})["email"] == "new@x"
        # For a row whose record has the offset of one of the old topic.
        assert await rig.pool.fetchval("SELECT epoch FROM readmodel.projections WHERE name = 'yards'") > epoch


async def test_a_rebuild_waits_for_the_live_projection_to_begin_with_the_new_topic(rig: "Rig", kept: Kept) -> None:
    routes = rig.pointed(kept(ROUTES))
    await read_and_made_again(rig, routes, 30, 10)
    rebuilds = rig.rebuilds(rig.live(routes))
    rebuilds.start(routes.name)
    failed = await rebuilds.wait(routes.name)
    assert failed is not None
    assert f"{rig.topic}: deleted or made again" in failed["error"]
    await rig.projected(routes)
    rebuilds.start(routes.name)
    done = await rebuilds.wait(routes.name)
    assert done is not None
    assert (done["state"], done["result"]["events"]) == ("done", 10), done


async def test_what_was_half_built_of_the_old_topic_is_given_up(rig: "Rig", kept: Kept) -> None:
    routes = rig.pointed(kept(ROUTES))
    store = rig.stores.of(routes.model)
    await rig.fly(30)
    await rig.projected(routes)
    half = await store.begin()
    ids = await topic_ids(rig.producer.client, [rig.topic])
    await store.rows(half.number).add_positions([(rig.topic, 0), (rig.topic, 1)], ids)
    await made_again(rig)
    await rig.fly(10, start=100)
    await rig.projected(routes)
    rebuilds = rig.rebuilds(rig.live(routes))
    rebuilds.start(routes.name)
    done = await rebuilds.wait(routes.name)
    assert done is not None
    assert (done["state"], done["to_generation"]) == ("done", half.number + 1), done


async def test_a_writer_of_the_old_topic_is_fenced(rig: "Rig", kept: Kept) -> None:
    """At the same offset: only the topic's id tells the two apart."""
    from atlas_readmodel.postgres.topic_ids import Renewal
    from atlas_readmodel.postgres.writer import Advance, Batch, Fenced

    store = rig.stores.of(rig.pointed(kept(ROUTES)).model)
    live = await store.ensure_live()
    old, new = store.rows(live.number), store.rows(live.number)
    await old.add_positions([(rig.topic, 0)], {rig.topic: "one"})
    await new.add_positions([(rig.topic, 0)], {rig.topic: "other"})
    with pytest.raises(Fenced):
        await new.write(Batch([Advance(rig.topic, 0, 0, 5, 5)], {}))
    await new.renew([Renewal(rig.topic, 0, "one", "other", 1)])
    with pytest.raises(Fenced):
        await old.write(Batch([Advance(rig.topic, 0, 0, 5, 5)], {}))
    await new.write(Batch([Advance(rig.topic, 0, 0, 7, 7)], {}))
    assert await new.positions() == {(rig.topic, 0): 7}


async def test_a_key_in_two_partitions_is_shown_as_it_was_written_last(rig: "Rig") -> None:
    """Case 41: another client's partitioner, or partitions added. Offsets of different partitions are not compared."""
    hauls = rig.pointed(HAULS)
    reader = Reader(rig.pool, rig.cache)

    async def fly(carrier: str, partition: int) -> None:
        value = {
            "haul_id": "f1", "carrier": carrier, "haul_number": 1, "truck_number": None, "origin": "EWR",
            "destination": "X", "scheduled_departure": 1, "distance_miles": 1,
        }  # fmt: skip
        await rig.send("hauls.HaulCancelled", value, key="f1", partition=partition)

    async def shown() -> str | None:
        row = await neutral.row(reader, "hauls", "f1")
        return None if row is None else row["carrier"]

    async with rig.running(rig.live(hauls)):
        for number in range(6):
            await fly(f"A{number}", 0)
        await rig.settled(hauls)
        assert await shown() == await shown() == "A5"  # the second is the cached one, of offset 5
        await fly("B0", 1)  # offset 0
        await rig.settled(hauls)
        assert await shown() == await shown() == "B0"
        await fly("A6", 0)
        await rig.settled(hauls)
        assert await shown() == await shown() == "A6"
