"""The whole service on real Kafka and S3: every record once and byte for byte, whatever happens to the archiver."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from atlas_archive.chain.listing import summaries
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.format.records import Record
from atlas_archive.proof import incarnation_check
from atlas_archive.proof.reports import TopicReport
from atlas_archive.proof.verify import verify
from atlas_archive.store import S3Store
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment
from atlas_cli.topics.topic_reader import open_topic_reader
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import committed_offsets
from atlas_kafka.metrics import RECORDS_IN
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("heartbeats")]


Kept = Callable[[int], Awaitable[str]]
# Retention goes by the records' timestamps: of 2013, they would be deleted as the tests run.
KEEP = {"retention.ms": "-1"}


def cancelled(i: int) -> dict[str, Any]:
    return {
        "haul_id": f"UA{i}-20130101T10-EWR",
        "carrier": "UA",
        "haul_number": i,
        "truck_number": None if i % 3 else f"N{i}",
        "origin": "EWR",
        "destination": "IAH",
        "scheduled_departure": 1357030800000 + i,
        "distance_miles": 1400,
    }


def departed(i: int) -> dict[str, Any]:
    delays = {"departure_delay_minutes": i % 60, "arrival_delay_minutes": None, "drive_time_minutes": 227}
    return {**cancelled(i), **delays}


def mixed(registry: Registry, topic: str, count: int, start: int = 0) -> list[Outgoing]:
    """Two schemas, null values, bytes that are no Avro, bodies that are not of their schema, odd headers."""
    codec = Codec(registry)
    records = []
    for i in range(start, start + count):
        headers: list[tuple[str, bytes]] = [("ce_id", uuid.uuid4().bytes), ("same", b"1"), ("same", b"2")]
        value: bytes | None = codec.encode("hauls.HaulDeparted", departed(i))
        if i % 5 == 1:
            value, headers = codec.encode("hauls.HaulCancelled", cancelled(i)), []
        elif i % 11 == 2:
            value = None
        elif i % 11 == 3:
            value = (b"", b"not Avro", b"\0\0\0\0\x63unknown schema", b"\0\0")[i % 4]
        elif i % 11 == 4 and value is not None:
            value = value[:-3]
        key = None if i % 13 == 0 else b"key-%d" % i
        records.append(Outgoing(topic, key, value, headers, timestamp_ms=1357030800000 + i, partition=i % 4))
    return records


async def produce(servers: Servers, records: Sequence[Outgoing]) -> None:
    async with open_producer(servers.kafka_brokers, "test") as producer:
        results = await send_all(producer, records)
    assert [result for result in results if isinstance(result, Exception)] == []


async def archived(store: S3Store, topic: str) -> int:
    return sum(row.records for row in await summaries(store, topic))


async def until_archived(store: S3Store, topic: str, count: int, seconds: float = 20) -> None:
    async def done() -> bool:
        return await archived(store, topic) >= count

    await wait_until(f"{count} records of {topic} archived", done, seconds)


async def prove(servers: Servers, store: S3Store, topic: str) -> TopicReport:
    async with open_topic_reader(servers.kafka_brokers) as reader:
        (report,) = await verify(store, only=[topic], reader=reader)
    assert report.problems == []
    assert report.compared_with_topic == report.records
    return report


@pytest.fixture
def kept(servers: Servers, registry: Registry, make_topic: MakeTopic) -> Kept:
    """`await kept(n)`: a topic with so many mixed records, which Kafka keeps."""

    async def make(records: int) -> str:
        topic = await make_topic(config=KEEP)
        await produce(servers, mixed(registry, topic, records))
        return topic

    return make


async def test_every_record_once_and_byte_for_byte(
    servers: Servers, archivers: Any, store: S3Store, registry: Registry, kept: Kept
) -> None:
    topic = await kept(1000)
    async with archivers.run(topic):
        await until_archived(store, topic, 1000)
        await produce(servers, mixed(registry, topic, 300, start=1000))
        await until_archived(store, topic, 1300)
    report = await prove(servers, store, topic)
    assert (report.records, report.behind, report.notes) == (1300, 0, [])
    async with open_admin(servers.kafka_brokers) as admin:
        committed = await committed_offsets(admin, f"archiver-{topic}")
    assert sum(committed.values()) == 1300


async def test_a_stop_archives_what_is_held(servers: Servers, archivers: Any, store: S3Store, kept: Kept) -> None:
    topic = await kept(100)
    async with archivers.run(topic, archiver_segment_max_age_s=3600.0) as task:
        async with open_admin(servers.kafka_brokers) as admin:

            async def joined() -> bool:
                (group,) = (await admin.describe_consumer_groups([f"archiver-{topic}"]))[0].groups
                return bool(group[2] == "Stable")

            await wait_until("the archiver to join its group", joined)
        from atlas_archiver import metrics

        await wait_until("records to be held", lambda: metrics.HELD_BYTES._value.get() > 3000)
        assert not task.done()
        assert await archived(store, topic) == 0
    assert (await prove(servers, store, topic)).records == 100


async def test_a_crash_loses_and_doubles_nothing(
    servers: Servers, archivers: Any, store: S3Store, registry: Registry, make_topic: MakeTopic
) -> None:
    topic = await make_topic(config=KEEP)
    total = 0
    for round_ in range(3):
        await produce(servers, mixed(registry, topic, 400, start=total))
        total += 400
        async with archivers.run(topic, archiver_segment_max_bytes=2000) as task:
            await until_archived(store, topic, total - 399)
            if round_ < 2:
                task.cancel()  # in the middle of whatever it does
    async with archivers.run(topic):
        await until_archived(store, topic, total)
    assert (await prove(servers, store, topic)).records == total


async def test_two_instances_share_and_hand_over(
    servers: Servers, archivers: Any, store: S3Store, registry: Registry, kept: Kept
) -> None:
    topic = await kept(400)
    async with archivers.run(topic, instance="one"):
        await until_archived(store, topic, 400)
        async with archivers.run(topic, instance="two"):
            for start in range(400, 1400, 200):
                await produce(servers, mixed(registry, topic, 200, start=start))
                await until_archived(store, topic, start + 200)
        await produce(servers, mixed(registry, topic, 200, start=1400))
        await until_archived(store, topic, 1600)
    assert (await prove(servers, store, topic)).records == 1600


async def test_a_zombie_that_wakes_up_changes_nothing(
    servers: Servers, archivers: Any, store: S3Store, registry: Registry, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1, config=KEEP)
    await produce(servers, [Outgoing(topic, b"k", b"%d" % i, timestamp_ms=1) for i in range(50)])
    async with archivers.run(topic):
        await until_archived(store, topic, 50)
    (row,) = await summaries(store, topic)
    zombie = Segment(PartitionPath(topic, row.incarnation, 0), 0, 0, lambda _: None)
    zombie.add([pack([Record(i, 1, b"k", (), b"%d" % i) for i in range(70)])])

    stored = await store_segment(store, zombie, "zombie")
    assert not stored.won
    report = await prove(servers, store, topic)
    assert (report.records, report.notes) == (50, [])


async def test_only_committed_records_of_a_transactional_topic(
    servers: Servers, archivers: Any, store: S3Store, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1, config=KEEP)
    async with open_transactional_producer(servers.kafka_brokers, "test", f"tx-{topic}") as producer:
        for round_ in range(10):
            await producer.begin_transaction()
            for i in range(5):
                await producer.send(topic, b"%d-%d" % (round_, i))
            await (producer.abort_transaction() if round_ % 3 == 2 else producer.commit_transaction())
    async with archivers.run(topic):
        await until_archived(store, topic, 35)
    report = await prove(servers, store, topic)
    assert (report.records, report.behind) == (35, 0)


async def test_a_topic_deleted_and_made_again(
    servers: Servers, archivers: Any, store: S3Store, registry: Registry, kept: Kept, make_topic: MakeTopic
) -> None:
    topic = await kept(100)
    async with archivers.run(topic):
        await until_archived(store, topic, 100)
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await wait_until("the topic to be gone", gone)
    await make_topic(topic, config=KEEP)
    await produce(servers, mixed(registry, topic, 40))
    async with archivers.run(topic):
        await until_archived(store, topic, 140)
    assert len({row.incarnation for row in await summaries(store, topic)}) == 2
    async with open_topic_reader(servers.kafka_brokers) as reader:
        (report,) = await verify(store, only=[topic], reader=reader)
    assert (report.records, report.compared_with_topic) == (140, 40)
    assert all("deleted while no archiver read it" in problem for problem in report.problems)
    assert report.problems


@pytest.mark.parametrize("again", [True, False])
async def test_a_topic_deleted_before_its_segments_are_closed_is_archived_whole(
    servers: Servers, archivers: Any, store: S3Store, registry: Registry, make_topic: MakeTopic, again: bool
) -> None:
    """Whatever is there by then."""
    topic = await make_topic(config=KEEP)
    await produce(servers, mixed(registry, topic, 50))
    counted = RECORDS_IN.labels(topic, f"archiver-{topic}")
    async with archivers.run(topic, archiver_segment_max_age_s=600.0):
        await wait_until("the first records to be taken", lambda: counted._value.get() == 50, 30)
        await produce(servers, mixed(registry, topic, 200, start=50))
        await wait_until("the others to be taken", lambda: counted._value.get() == 250, 30)
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([topic])

            async def gone() -> bool:
                return topic not in await admin.list_topics()

            await wait_until("the topic to be gone", gone)
        if again:
            await make_topic(topic, config=KEEP)
        await until_archived(store, topic, 250)
        stated = f"topics/{topic}/{(await summaries(store, topic))[0].incarnation}/ends/"

        async def said() -> bool:
            return len([key async for key in store.list(stated)]) >= len(await summaries(store, topic))

        await wait_until("its end to be stated", said, 30)
    async with open_topic_reader(servers.kafka_brokers) as reader:
        (report,) = await verify(store, only=[topic], reader=reader)
    assert (report.problems, report.records) == ([], 250)


async def test_damage_is_found_and_named(
    servers: Servers,
    archivers: Any,
    store: S3Store,
    registry: Registry,
    make_topic: MakeTopic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incarnation_check, "LOOKS", 1)  # nobody removes what is extra
    topic = await make_topic(partitions=4, config=KEEP)
    await produce(servers, mixed(registry, topic, 400))
    async with archivers.run(topic):
        await until_archived(store, topic, 400)
    incarnation = (await summaries(store, topic))[0].incarnation
    keys = []
    for partition in range(4):
        manifest = await last_manifest(store, PartitionPath(topic, incarnation, partition))
        assert manifest is not None
        keys.append(manifest.objects[0].key)
    data = await store.get(keys[0])
    extra = keys[3].replace(".avro", "x.avro")
    await store.put(keys[0], [data[:500] + bytes([data[500] ^ 1]) + data[501:]])
    await store.put(keys[1], [(await store.get(keys[1]))[:-40]])
    await store.delete(keys[2])
    await store.put(extra, [b"x"])
    (report,) = await verify(store, only=[topic])
    assert len(report.problems) == 4
    for key in (*keys[:3], extra):
        assert any(problem.startswith(key) for problem in report.problems), key
