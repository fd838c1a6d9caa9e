"""The live loop on the real servers: effects once, fencing, dead letters, the cache."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from atlas_contracts.events import Meta
from atlas_errors.policy import Transient
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_kafka.cluster.groups import open_reader
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection, Row, Value
from atlas_readmodel.reader import Reader
from atlas_readmodel.token import Token
from atlas_yards.projection import YARDS

from tests import neutral

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

Kept = Callable[[Projection], Projection]

Kept = Callable[[Projection], Projection]

pytestmark = pytest.mark.integration


async def fetched(rig: "Rig") -> dict[TopicPartition, list[Any]]:
    """All records of the topic, as the loop would hand them over."""
    records: dict[TopicPartition, list[Any]] = {}
    ends = await rig.ends()
    async with open_reader(rig.servers.kafka_brokers, "test-fetch") as reader:
        partitions = [TopicPartition(rig.topic, int(place.rsplit("/", 1)[1])) for place in ends]
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        while sum(map(len, records.values())) < sum(ends.values()):
            for partition, batch in (await reader.getmany(timeout_ms=500)).items():
                records.setdefault(partition, []).extend(batch)
    return records


async def test_events_become_rows(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    async with rig.running(rig.live(yards)):
        sent = await rig.register("u1", email="ann@x")
        assert await Reader(rig.pool, rig.cache).wait_for(
            Token.of_records({(rig.topic, sent.partition): sent.offset}), 20
        )
        yard = await neutral.row(Reader(rig.pool, rig.cache), "yards", "u1", cached=False)
    assert yard is not None
    assert (yard["email"], yard["status"], yard["version"]) == ("ann@x", "active", 1)


async def test_the_group_follows_the_positions(rig: "Rig") -> None:
    from atlas_kafka.cluster.admin import open_admin
    from atlas_kafka.cluster.groups import committed_offsets

    yards, group = rig.pointed(YARDS), uuid.uuid4().hex
    async with rig.running(rig.live(yards), group=group), open_admin(rig.servers.kafka_brokers) as admin:
        for n in range(5):
            await rig.register(f"u{n}")
        await rig.settled(yards)
        positions = await rig.positions(yards)

        async def followed() -> bool:
            committed = await committed_offsets(admin, group)
            return all(committed.get(TopicPartition(*_place(name)), 0) == at for name, at in positions.items())

        await wait_until("the group's offsets at the positions", followed)


def _place(name: str) -> tuple[str, int]:
    topic, partition = name.rsplit("/", 1)
    return topic, int(partition)


async def test_counters_count_each_record_once_however_often_it_is_delivered(rig: "Rig", kept: Kept) -> None:
    routes = rig.pointed(kept(ROUTES))
    await rig.fly(300)
    records = await fetched(rig)
    live = rig.live(routes)
    for _ in range(3):  # each time from before the first record: what was done is passed over
        await live.start_offsets(await rig.now(records))
        await live.handle(records)
        await live.handle(records)
        await live.release(records)
    assert sum(row["hauls"] for row in await rig.rows(routes)) == 300
    assert await rig.positions(routes) == await rig.ends()


async def test_a_restarted_loop_goes_on_where_the_rows_are(rig: "Rig") -> None:
    """The group's offsets are lost with each new group; the position in PostgreSQL is what counts."""
    routes = rig.pointed(ROUTES)
    for start in (0, 100, 200):
        async with rig.running(rig.live(routes), max_records=37):
            await rig.fly(100, start)
            await rig.settled(routes)
    assert sum(row["hauls"] for row in await rig.rows(routes)) == 300


async def test_a_zombie_is_fenced_and_has_no_effect(rig: "Rig", kept: Kept) -> None:
    routes = rig.pointed(kept(ROUTES))
    await rig.fly(50)
    records = await fetched(rig)
    zombie, successor = rig.live(routes), rig.live(routes)
    await zombie.start_offsets(await rig.now(records))
    await successor.start_offsets(await rig.now(records))
    await successor.handle(records)
    await successor.handle({})
    await zombie.handle(records)  # begins its transaction
    with pytest.raises(Transient, match="moved on by another"):
        await zombie.handle({})
    assert sum(row["hauls"] for row in await rig.rows(routes)) == 50
    # It begins again where its successor is.
    offsets = await zombie.start_offsets(await rig.now(records))
    assert {f"{place.topic}/{place.partition}": at for place, at in offsets.items()} == await rig.ends()


async def test_two_instances_share_the_partitions(rig: "Rig", kept: Kept) -> None:
    routes, group = rig.pointed(kept(ROUTES)), uuid.uuid4().hex
    async with rig.running(rig.live(routes), group=group):
        await rig.fly(100)
        await rig.settled(routes)
        second = rig.live(routes)
        async with rig.running(second, group=group):
            await wait_until("the second instance has a partition", lambda: second.state()["positions"])
            await rig.fly(100, 100)
            await rig.settled(routes)
        await rig.fly(100, 200)
        await rig.settled(routes)
    assert sum(row["hauls"] for row in await rig.rows(routes)) == 300


async def test_an_older_version_on_the_topic_again_changes_nothing(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    async with rig.running(rig.live(yards)):
        for version, email in ((1, "one@x"), (2, "two@x"), (1, "one@x"), (2, "again@x")):
            await rig.register("u1", version, email=email)
        await rig.settled(yards)
    (row,) = await rig.rows(yards)
    assert (row["email"], row["version"]) == ("two@x", 2)


async def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    await rig.register("u1", partition=0)
    bad = await rig.send_raw(b"not avro at all", key="u1", headers=[("ce_sequence", b"2")], partition=0)
    none = await rig.send_raw(None, key="u3", partition=0)
    behind = await rig.register("u1", 3, email="later@x", partition=0)
    await rig.register("u2", partition=0)
    live = rig.live(yards)
    async with rig.running(live):
        await rig.settled(yards)
        assert live.state()["parked"] == 3
    assert [(row["yard_id"], row["email"]) for row in await rig.rows(yards)] == [("u1", "a@x"), ("u2", "a@x")]
    letters = await _dead_letters(rig, 2)
    assert [int(letter["atlas_dlq_offset"]) for letter in letters] == [bad.offset, none.offset]
    assert [letter["atlas_dlq_group"] for letter in letters] == ["projector.yards"] * 2
    assert "not framed Avro" in letters[0]["atlas_dlq_error"]
    assert "no value" in letters[1]["atlas_dlq_error"]
    noted = await rig.pool.fetch("SELECT record_offset FROM readmodel.dead_letters ORDER BY 1")
    assert [row["record_offset"] for row in noted] == [bad.offset, none.offset]
    parked = await rig.pool.fetch("SELECT record_offset, state FROM readmodel.parked ORDER BY 1")
    assert [tuple(row) for row in parked] == [(bad.offset, "dead"), (none.offset, "dead"), (behind.offset, "behind")]


async def test_what_has_no_version_holds_nobody_back(rig: "Rig", kept: Kept) -> None:
    """A foreign event without a sequence, an unreadable record and one without a value, each before the owner's own."""
    yards = rig.pointed(kept(YARDS))
    value = {"yard_id": "u1", "reason": None, "deactivated_at": 1}
    foreign = [
        await rig.send("yards.YardDeactivated", value, key="u1", partition=0),
        await rig.send_raw(b"not avro at all", key="u1", partition=0),
        await rig.send_raw(None, key="u1", partition=0),
    ]
    await rig.register("u1", partition=0)
    foreign.append(await rig.send("yards.YardDeactivated", value, key="u1", partition=0))
    await rig.register("u1", 2, email="two@x", partition=0)
    async with rig.running(rig.live(yards)):
        await rig.settled(yards)
    (row,) = await rig.rows(yards)
    assert (row["email"], row["status"], row["version"]) == ("two@x", "active", 2)
    waiting = await rig.waiting(yards)
    assert [(record.offset, record.state) for record in waiting] == [(sent.offset, "dead") for sent in foreign]
    # A restart finds them waiting, and goes on just so.
    await rig.register("u1", 3, email="three@x", partition=0)
    async with rig.running(rig.live(yards)):
        await rig.settled(yards)
    (row,) = await rig.rows(yards)
    assert (row["email"], row["version"]) == ("three@x", 3)


async def _dead_letters(rig: "Rig", count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    async with open_reader(rig.servers.kafka_brokers, "test-dlq") as reader:
        partition = TopicPartition(f"{rig.topic}.dlq", 0)
        reader.assign([partition])
        await reader.seek_to_beginning(partition)

        async def enough() -> bool:
            for batch in (await reader.getmany(timeout_ms=200)).values():
                found.extend({name: value.decode() for name, value in record.headers} for record in batch)
            return len(found) >= count

        await wait_until(f"{count} dead letters", enough)
    return found


async def test_a_row_can_be_deleted(rig: "Rig", kept: Kept) -> None:
    def gone(_row: Row | None, _event: Value, _meta: Meta) -> Row | None:
        return None

    yards = rig.pointed(kept(YARDS), handlers={**YARDS.handlers, "yards.YardDeactivated": gone})
    async with rig.running(rig.live(yards)):
        await rig.register("u1")
        await rig.register("u2")
        await rig.settled(yards)
        value = {"yard_id": "u1", "reason": None, "deactivated_at": 1}
        await rig.send("yards.YardDeactivated", value, key="u1", sequence=2)
        await rig.settled(yards)
    assert [row["yard_id"] for row in await rig.rows(yards)] == ["u2"]


async def test_a_change_outdates_the_cached_row(rig: "Rig") -> None:
    yards = rig.pointed(YARDS)
    reader = Reader(rig.pool, rig.cache)
    async with rig.running(rig.live(yards)):
        for version, email in ((1, "one@x"), (2, "two@x"), (3, "three@x")):
            await rig.register("u1", version, email=email)
            await rig.settled(yards)
            yard = await neutral.row(reader, "yards", "u1")
            assert yard is not None
            assert yard["email"] == email
            assert await rig.cache.get("yards", "u1") == yard


async def test_without_redis_rows_are_written_and_the_cache_is_outdated_after(rig: "Rig") -> None:
    from atlas_readmodel.cache import open_cache

    yards = rig.pointed(YARDS)
    live = rig.live(yards)
    reader = Reader(rig.pool, rig.cache)
    async with rig.running(live), open_cache("redis://127.0.0.1:1/0") as away:
        await rig.register("u1", 1, email="one@x")
        await rig.settled(yards)
        assert await neutral.row(reader, "yards", "u1") is not None  # cached now
        connected, live.floors._cache = live.floors._cache, away
        await rig.register("u1", 2, email="two@x")
        await rig.settled(yards)
        assert live.floors.missed
        live.floors._cache = connected
        await wait_until("the epoch rose", lambda: not live.floors.missed)
        yard = await neutral.row(reader, "yards", "u1")
    assert yard is not None
    assert yard["email"] == "two@x"


async def test_hauls_and_what_the_loop_says_of_itself(rig: "Rig") -> None:
    hauls = rig.pointed(HAULS)
    live = rig.live(hauls)
    assert live.state()["state"] == "retrying"
    async with rig.running(live, max_records=100):
        await rig.fly(1000)
        await rig.settled(hauls)
        ends = await rig.ends()
        await wait_until("the loop says that it is there", lambda: live.state()["positions"] == ends)
        state = live.state()
    assert (state["state"], state["generation"], state["events"]) == ("running", 1, 1000)
    assert state["events_per_second"] > 0
    rows = await rig.rows(hauls)
    assert len(rows) == 1000
    assert {row["status"] for row in rows} == {"departed", "cancelled"}
