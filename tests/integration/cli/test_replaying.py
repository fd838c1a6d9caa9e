"""A replay, on real topics and a real archive: every record once, in its place, however often it is interrupted."""

import asyncio
import gc
import json
import os
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.client import AIOKafkaClient
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Incoming, Record
from atlas_archive.store import S3Address, S3Store, open_store
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment
from atlas_cli.terminal.output import CommandError
from atlas_cli.topics.following import Start
from atlas_cli.topics.replay_target import Rule
from atlas_cli.topics.replaying import REPLAY_HEADER, Progress, Replay, replay
from atlas_cli.topics.topic_reader import open_topic_reader
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

from tests.contexts import SCHEMAS

pytestmark = pytest.mark.integration
KEEP = {"retention.ms": "-1"}
TIME = 1_357_030_800_000


@pytest.fixture
async def store(address: S3Address) -> AsyncIterator[S3Store]:
    async with open_store(address) as opened:
        yield opened


def some(topic: str, count: int, start: int = 0) -> list[Outgoing]:
    """Records of four partitions, tombstones and null headers among them."""
    return [
        Outgoing(
            topic,
            None if i % 11 == 0 else b"key-%d" % (i % 7),
            None if i % 13 == 0 else b"value %d" % i,
            [("ce_type", b"a.A" if i % 2 else b"b.B"), ("none", None)] if i % 3 else [],  # type: ignore[list-item]
            timestamp_ms=TIME + i,
            partition=i % 4,
        )
        for i in range(start, start + count)
    ]


async def produce(servers: Servers, records: Sequence[Outgoing]) -> None:
    async with open_producer(servers.kafka_brokers, "test") as producer:
        assert not [found for found in await send_all(producer, records) if isinstance(found, Exception)]


async def on(servers: Servers, topic: str) -> dict[int, list[ConsumerRecord]]:
    """All committed records of a topic, by partition."""
    found: dict[int, list[ConsumerRecord]] = {}
    async with open_reader(servers.kafka_brokers, "test") as consumer:
        for tp, (first, end) in (await topic_ranges(consumer, [topic])).items():
            consumer.assign([tp])
            consumer.seek(tp, first)
            records = found.setdefault(tp.partition, [])
            while await consumer.position(tp) < end:
                records += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
    return found


async def archive(servers: Servers, store: S3Store, topic: str, upto: int, segments: int = 2) -> str:
    """Archive the first `upto` records of each partition, in so many segments; the incarnation."""
    client = AIOKafkaClient(bootstrap_servers=servers.kafka_brokers)
    await client.bootstrap()
    incarnation = (await topic_ids(client, [topic]))[topic]
    await client.close()

    for partition, records in (await on(servers, topic)).items():
        ours = [Record(r.offset, r.timestamp, r.key, tuple(r.headers), r.value) for r in records[:upto]]
        start = 0
        size = upto // segments
        for part in (ours[at : at + size] for at in range(0, upto, size)):
            segment = Segment(PartitionPath(topic, incarnation, partition), start, 0, lambda _: None)
            segment.add([pack(part)])
            start = (await store_segment(store, segment, "test")).manifest.next_offset
    return incarnation


def type_of(record: Incoming) -> str | None:
    return next((value.decode() for name, value in record.headers if name == "ce_type" and value), None)


async def run(servers: Servers, store: S3Store, topic: str, target: str, **wanted: Any) -> Progress:
    async with open_topic_reader(servers.kafka_brokers) as reader:
        return await replay(Replay(topic, target, **wanted), store, reader, servers.kafka_brokers, type_of)


def same(source: list[ConsumerRecord], copied: list[ConsumerRecord], topic: str, incarnation: str) -> bool:
    expected = [
        (
            r.key,
            r.value,
            r.timestamp,
            (*r.headers, (REPLAY_HEADER, f"{topic}/{incarnation}/{r.partition}@{r.offset}".encode())),
        )
        for r in source
    ]
    return expected == [(r.key, r.value, r.timestamp, tuple(r.headers)) for r in copied]


async def test_from_archive_and_topic_and_again(servers: Servers, store: S3Store, make_topic: MakeTopic) -> None:
    topic, target = await make_topic(config=KEEP), await make_topic(config=KEEP)
    await produce(servers, some(topic, 400))
    incarnation = await archive(servers, store, topic, 60)
    done = await run(servers, store, topic, target)
    assert (done.replayed, done.from_archive, done.from_topic, done.created) == (400, 240, 160, False)
    source, copied = await on(servers, topic), await on(servers, target)
    for partition, records in source.items():
        assert same(records, copied[partition], topic, incarnation)
    assert (await run(servers, store, topic, target)).replayed == 0
    await produce(servers, some(topic, 40, start=400))
    assert (await run(servers, store, topic, target)).replayed == 40
    assert sum(map(len, (await on(servers, target)).values())) == 440


async def test_a_topic_that_is_gone_is_restored(servers: Servers, store: S3Store, make_topic: MakeTopic) -> None:
    topic = await make_topic(config=KEEP)
    target = f"{topic}.restored"
    await produce(servers, some(topic, 200))
    source = await on(servers, topic)
    incarnation = await archive(servers, store, topic, 50)
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await wait_until("the topic to be gone", gone)
        done = await run(servers, store, topic, target)
        assert (done.replayed, done.from_topic, done.created) == (200, 0, True)
        copied = await on(servers, target)
        for partition, records in source.items():
            assert same(records, copied[partition], topic, incarnation)
        await admin.delete_topics([target])
        await make_topic(topic, config=KEEP)  # the fixture removes it at the end


async def test_it_may_be_killed_at_any_moment(servers: Servers, store: S3Store, make_topic: MakeTopic) -> None:
    """Cancelled in the middle of transactions, again and again: what was begun is aborted, what stands stays."""
    topic, target = await make_topic(config=KEEP), await make_topic(config=KEEP)
    await produce(servers, some(topic, 2000))
    incarnation = await archive(servers, store, topic, 300)
    rounds = 0
    for attempt in range(40):
        task = asyncio.create_task(run(servers, store, topic, target, rate=4000.0))
        done, _ = await asyncio.wait({task}, timeout=0.15 + attempt * 0.05)
        if done:
            task.result()
            break
        task.cancel()
        await asyncio.wait({task})
        rounds += 1
    # Of a connection that was just made when its opening was cancelled, asyncio.wait_for of Python 3.11 keeps nothing:
    # it is closed when it is collected, which has to be while there is a loop.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert rounds > 0
    source, copied = await on(servers, topic), await on(servers, target)
    for partition, records in source.items():
        assert same(records, copied[partition], topic, incarnation)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"key": b"key-3"}, lambda r: r.key == b"key-3"),
        ({"type": "a.A"}, lambda r: type_of(r) == "a.A"),
        ({"start": Start("offset", 20), "until": Start("offset", 70)}, lambda r: 20 <= r.offset < 70),
        (
            {"start": Start("time", TIME + 100), "until": Start("time", TIME + 300)},
            lambda r: TIME + 100 <= r.timestamp < TIME + 300,
        ),
    ],
)
async def test_bounded_and_filtered(
    servers: Servers, store: S3Store, make_topic: MakeTopic, wanted: dict[str, Any], expected: Any
) -> None:
    topic, target = await make_topic(config=KEEP), await make_topic(config=KEEP)
    await produce(servers, some(topic, 400))
    incarnation = await archive(servers, store, topic, 50)
    await run(servers, store, topic, target, **wanted)
    source, copied = await on(servers, topic), await on(servers, target)
    for partition, records in source.items():
        assert same([r for r in records if expected(r)], copied[partition], topic, incarnation)


async def test_segments_of_other_times_are_not_fetched(servers: Servers, store: S3Store, make_topic: MakeTopic) -> None:
    """Four segments of 25 records a partition; the wanted times lie in the second and the third."""
    topic, target = await make_topic(config=KEEP), await make_topic(config=KEEP)
    await produce(servers, some(topic, 400))
    incarnation = await archive(servers, store, topic, 100, segments=4)
    fetched = Fetched(store)
    wanted = {"start": Start("time", TIME + 120), "until": Start("time", TIME + 280)}
    done = await run(servers, fetched, topic, target, **wanted)  # type: ignore[arg-type]
    source, copied = await on(servers, topic), await on(servers, target)
    for partition, records in source.items():
        meant = [r for r in records if TIME + 120 <= r.timestamp < TIME + 280]
        assert same(meant, copied[partition], topic, incarnation)
    assert (done.replayed, done.from_archive, done.passed) == (160, 200, 240)
    data = sorted(key.rsplit("/", 1)[1][:20] for key in fetched.keys if "/data/" in key)
    assert data == sorted(f"{start:020d}" for start in (25, 50) for _ in range(4))


class Fetched:
    """A store that notes what is read of it."""

    def __init__(self, store: S3Store) -> None:
        self.store = store
        self.keys: list[str] = []

    async def get(self, key: str) -> bytes:
        self.keys.append(key)
        return await self.store.get(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def test_a_process_that_is_killed_goes_on_where_it_was(
    servers: Servers, bucket: str, store: S3Store, make_topic: MakeTopic, request: pytest.FixtureRequest
) -> None:
    """`kill -9` of the command itself, each time when more has arrived."""
    topic, target = await make_topic(config=KEEP), await make_topic(config=KEEP)
    await produce(servers, some(topic, 2400))
    # A round of the replay is a block of each partition, so small segments make small rounds.
    incarnation = await archive(servers, store, topic, 300, segments=10)
    env = {
        **os.environ,
        "ATLAS_KAFKA_BROKERS": servers.kafka_brokers,
        "ATLAS_S3_ENDPOINT": servers.s3_endpoint,
        "ATLAS_S3_ACCESS_KEY": servers.s3_access_key,
        "ATLAS_S3_SECRET_KEY": servers.s3_secret_key,
        "ATLAS_S3_BUCKET": bucket,
        "ATLAS_SCHEMAS_DIR": str(SCHEMAS),
    }

    async def start(*more: str) -> asyncio.subprocess.Process:
        command = ["-m", "atlas_cli.main", "replay", topic, "--to", target, "--json", *more]
        return await asyncio.create_subprocess_exec(sys.executable, *command, env=env, stdout=asyncio.subprocess.PIPE)

    async def arrived() -> int:
        return sum(map(len, (await on(servers, target)).values()))

    kills = []
    for _ in range(2):
        before = await arrived()
        process = await start("--rate", "800")
        await wait_until("more to arrive", partial(_more_than, arrived, before), 30)
        process.kill()
        await process.wait()
        kills.append(await arrived())
    assert 0 < kills[0] < kills[1] < 2400, kills
    last = await start()
    printed, _ = await last.communicate()
    report = json.loads(printed)
    assert (last.returncode, report["replayed"]) == (0, 2400 - kills[1])
    assert all(report["resumed_from"].values())
    source, copied = await on(servers, topic), await on(servers, target)
    for partition, records in source.items():
        assert same(records, copied[partition], topic, incarnation)


async def _more_than(arrived: Callable[[], Awaitable[int]], before: int) -> bool:
    return await arrived() > before


async def test_what_can_not_be_done_is_said(servers: Servers, store: S3Store, make_topic: MakeTopic) -> None:
    topic, small = await make_topic(config=KEEP), await make_topic(partitions=1)
    await produce(servers, some(topic, 8))
    for wanted, words in (
        (Replay(topic, topic), "onto itself"),
        (Replay("no.such", small), "there is no such topic, and nothing of it is archived"),
        (Replay(topic, small), f"{small} has 1 partitions, {topic} has 4"),
        (Replay(topic, small, incarnation="zzz"), "--incarnation zzz: fits 0 of"),
    ):
        async with open_topic_reader(servers.kafka_brokers) as reader:
            with pytest.raises(CommandError, match=words):
                await replay(wanted, store, reader, servers.kafka_brokers, type_of)


DECLARED = Rule("yards.events", frozenset({"a.A"}))


async def test_undeclared_event_types_are_refused_or_left_out(
    servers: Servers, store: S3Store, make_topic: MakeTopic
) -> None:
    topic, target = await make_topic(config=KEEP), await make_topic(config=KEEP)
    await produce(servers, some(topic, 200))
    with pytest.raises(CommandError, match=r"yards\.events takes a\.A alone, by topics\.yaml"):
        await run(servers, store, topic, target, rule=DECLARED)
    assert sum(map(len, (await on(servers, target)).values())) == 0
    done = await run(servers, store, topic, target, rule=replace(DECLARED, leaves_out=True))
    copied = [record for records in (await on(servers, target)).values() for record in records]
    assert len(copied) == done.replayed > 0
    assert all(record.value is None or type_of(record) == "a.A" for record in copied)


async def _records(servers: Servers, topic: str) -> list[ConsumerRecord]:
    """Of the first partition, once there are any: the marker of a commit is written after its answer."""
    found: list[ConsumerRecord] = []

    async def some_there() -> bool:
        found[:] = (await on(servers, topic))[0]
        return bool(found)

    await wait_until(f"records on {topic}", some_there)
    return found


async def test_it_says_which_time_the_records_have(servers: Servers, store: S3Store, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1, config=KEEP)
    brokers_own = await make_topic(partitions=1, config={"message.timestamp.type": "LogAppendTime"})
    await produce(servers, [Outgoing(topic, b"k", b"v", timestamp_ms=TIME, partition=0)])
    assert (await run(servers, store, topic, brokers_own)).times == "of writing"
    (written,) = await _records(servers, brokers_own)
    assert written.timestamp > TIME + 86_400_000
    async with open_admin(servers.kafka_brokers) as admin:
        made = f"{topic}.made"
        assert (await run(servers, store, topic, made)).times == "kept"
        assert [record.timestamp for record in await _records(servers, made)] == [TIME]
        await admin.delete_topics([made])


async def test_what_the_target_refuses_is_named_and_nothing_of_its_round_is_there(
    servers: Servers, store: S3Store, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1, config=KEEP)
    target = await make_topic(partitions=1, config={**KEEP, "max.message.bytes": "2000"})
    await produce(servers, [Outgoing(topic, b"k", b"x" * size, partition=0) for size in (10, 5000, 10)])
    with pytest.raises(CommandError, match=f"{target} refuses a record of {topic}/.*/0@0 to {topic}/.*/0@2"):
        await run(servers, store, topic, target)
    assert await on(servers, target) == {0: []}
