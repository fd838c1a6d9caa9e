"""Whatever a broker takes from any producer is archived byte for byte, and equals the topic when it is verified."""

import io
import json
from typing import Any

import cramjam
import fastavro
import pytest
from aiokafka import TopicPartition
from atlas_archive.history import histories, read_history
from atlas_archive.proof.verify import verify
from atlas_archive.store import S3Store
from atlas_avro.varints import long
from atlas_cli.topics.topic_reader import open_topic_reader
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.fetching.foreignrecords import STAND_IN
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

from tests.integration.archiver.conftest import Archivers
from tests.integration.foreign import Foreign, batch, batch_of, gzip, packed, put

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("heartbeats")]


def one(body: bytes) -> bytes:
    return batch(long(len(body)) + body, 1)


def bomb(size: int) -> bytes:
    records = b"".join(packed(Foreign(value=bytes(1_000_000)), place) for place in range(size))
    return batch(bytes(cramjam.zstd.compress(records)), size, codec=4)


# Retention goes by the records' timestamps, which are of 2023.
LARGE = {"max.message.bytes": "20000000", "retention.ms": "-1"}
NORMAL = batch_of([Foreign(), Foreign(value=None)])
HOSTILE = {
    "names that are not UTF-8": batch_of([Foreign(headers=[(b"\xe9", b"1"), (b"", None), (b"h", b""), (b"h", b"2")])]),
    "the same, compressed": batch_of([Foreign(headers=[(b"\xff" * 9, b"1")]), Foreign()], 1, gzip),
    "100,000 headers": batch_of([Foreign(headers=[(b"h%d" % n, b"v") for n in range(100_000)])] * 2),
    "a name of 1 MB": batch_of([Foreign(headers=[(b"n" * 1_000_000, b"v")])]),
    "a key of 1 MB and a value of 10": batch_of([Foreign(key=bytes(1_000_000), value=bytes(10_000_000))]),
    "unknown ids without end": batch_of([Foreign(value=b"\0" + n.to_bytes(4, "big") + b"x") for n in range(5000)]),
    "offsets of their own": batch_of([Foreign(value=b"%d" % n, step=step) for n, step in enumerate((2**30, 0, 0, -4))]),
    "lengths of -2": one(b"\0\0\0" + b"\3" + b"\5" + b"\2\2h\5"),
    "numbers longer than need be": one(b"\0\0\0" + b"\x81\0" + b"\x81\x80\0" + b"\x80\0"),
    "attributes": one(b"\xff\0\0" + b"\1" + b"\2v" + b"\0"),
    "gzip and something more": batch(gzip(packed(Foreign(), 0)) + b"xx", 1, codec=1),
    "a batch that holds 200 MB": bomb(200),
    "an empty key and value": batch_of([Foreign(key=b"", value=b"")]),
}


async def test_everything_that_a_broker_takes(
    archivers: Archivers, servers: Servers, make_topic: MakeTopic, store: S3Store
) -> None:
    topic = await make_topic(partitions=1, config=LARGE)
    count = 0
    for name, data in HOSTILE.items():
        for each in (data, NORMAL):
            error, offset = await put(servers.kafka_brokers, topic, each)
            assert (error, offset) == (0, count), name
            count += int.from_bytes(each[57:61], "big")

    async def all_archived() -> bool:
        reports = await verify(store, only=[topic])
        ends = [history.next_offset for history in (await _histories(store, topic)).values()]
        return not reports[0].problems and ends == [count]

    async with archivers.run(topic, archiver_codec="deflate"):
        await wait_until("all of it to be archived", all_archived, 60)
    async with open_topic_reader(servers.kafka_brokers) as reader:
        (report,) = await verify(store, only=[topic], reader=reader)
    assert report.problems == []
    expected = count - 199  # one record for the batch that is too large
    assert report.compared_with_topic == report.records == expected
    history = (await _histories(store, topic))[0]
    archived = [record async for block in read_history(store, history) for record in block]
    offsets = [record.offset for record in archived]
    assert offsets == sorted(set(offsets))
    kept = [record.value for record in archived if record.value and record.value.startswith(STAND_IN)]
    assert [value[len(STAND_IN) + 61 :] for value in kept if value] == [HOSTILE["a batch that holds 200 MB"][61:]]
    for item in (item for segment in history.segments for item in segment.objects):
        rows = fastavro.reader(io.BytesIO(await store.get(item.key)))  # no name or length derails an outside reader
        assert len(list(rows)) == item.records
    assert ("\\xe9", b"1") in [header for record in archived for header in record.headers]


async def test_readers_go_on_after_it(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1, config=LARGE)
    for data in HOSTILE.values():
        for each in (data, NORMAL):
            assert (await put(servers.kafka_brokers, topic, each))[0] == 0
    place = TopicPartition(topic, 0)
    async with open_reader(servers.kafka_brokers, "test") as consumer:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        found: list[Any] = []
        while await consumer.position(place) < end:
            found += (await consumer.getmany(place, timeout_ms=500, max_records=100)).get(place, [])
    assert [record.offset for record in found] == sorted(record.offset for record in found)
    assert sum(record.value is None for record in found) >= len(HOSTILE)
    json.dumps([[name for name, _ in record.headers] for record in found])


async def _histories(store: S3Store, topic: str) -> Any:
    incarnations = {key.key.split("/")[2] async for key in store.list(f"topics/{topic}/")}
    return await histories(store, topic, next(iter(incarnations))) if incarnations else {}
