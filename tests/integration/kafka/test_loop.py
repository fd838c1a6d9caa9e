"""The consume loop against a real broker: order, rewind, rebalance, release."""

import asyncio
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from atlas_errors.policy import Transient
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.groups import committed_offsets, group_names, held_partitions, open_reader, topic_ranges
from atlas_kafka.cluster.partitions_now import PartitionNow, partitions_now
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.consuming import session
from atlas_kafka.consuming.endings import Ended
from atlas_kafka.consuming.loop import ConsumerConfig, Offsets, Records, consume
from atlas_kafka.fetching.fetch_by_id import FetchById
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_kafka.producing.transactional import open_transactional_producer, send_in_transaction
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until


class Memory:
    """A sink with positions of its own: durable means remembered here."""

    def __init__(self, *, own_offsets: bool = True) -> None:
        self.own_offsets = own_offsets
        self.values: list[bytes] = []
        self.next: dict[TopicPartition, int] = {}
        self.ids: dict[TopicPartition, str] = {}
        self.failures: list[Exception] = []
        self.released: list[Collection[TopicPartition]] = []
        self.started = 0
        self.skips_allowed = False

    async def start_offsets(self, partitions: Mapping[TopicPartition, PartitionNow]) -> Offsets:
        self.started += 1
        for partition, now in partitions.items():
            if self.ids.setdefault(partition, now.topic_id) != now.topic_id:
                self.ids[partition], self.next[partition] = now.topic_id, 0
        return {p: self.next.get(p, 0) for p in partitions} if self.own_offsets else {}

    async def handle(self, records: Records) -> Offsets:
        if records and self.failures:
            raise self.failures.pop(0)
        for partition, batch in records.items():
            for record in batch:
                if self.own_offsets and not self.skips_allowed:
                    assert record.offset == self.next.get(partition, 0), "a record was skipped or came twice"
                self.values.append(record.value)
                self.next[partition] = record.offset + 1
        return {p: self.next[p] for p in records}

    async def release(self, partitions: Collection[TopicPartition]) -> Offsets:
        self.released.append(set(partitions))
        return {}


class SlowMemory(Memory):
    """Waits for its gate before it takes anything."""

    gate: asyncio.Event | None = None
    waiting = False

    async def handle(self, records: Records) -> Offsets:
        if records and self.gate is not None:
            self.waiting = True
            await self.gate.wait()
        return await super().handle(records)


def _config(servers: Servers, topic: str, group: str | None = None) -> ConsumerConfig:
    return ConsumerConfig(
        servers.kafka_brokers, group or f"test-{uuid.uuid4().hex[:8]}", (topic,), "test", max_records=100, idle_s=0.05
    )


async def _produce(servers: Servers, topic: str, values: range) -> None:
    async with open_producer(servers.kafka_brokers, "test") as producer:
        results = await send_all(producer, [Outgoing(topic, b"k%d" % i, b"%d" % i) for i in values])
    assert not [r for r in results if isinstance(r, Exception)]


@asynccontextmanager
async def _running(
    config: ConsumerConfig, sink: Memory, heard: list[str | None] | None = None
) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(consume(config, sink, stop, (heard if heard is not None else []).append))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(15):
            await task


async def test_every_record_once_then_committed(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=4)
    await _produce(servers, topic, range(1000))
    sink, config = Memory(), _config(servers, topic)
    async with _running(config, sink):
        await wait_until("1000 records", lambda: len(sink.values) == 1000)
    assert sorted(map(int, sink.values)) == list(range(1000))
    assert sink.released[-1] == {TopicPartition(topic, p) for p in range(4)}
    async with open_admin(servers.kafka_brokers) as admin:
        assert sum((await committed_offsets(admin, config.group)).values()) == 1000
        assert config.group in await group_names(admin)


class Said:
    """The steps that the loop has told of."""

    def __init__(self) -> None:
        self.last = ""
        self.waited: list[str] = []
        self.progress = 0

    def does(self, what: str) -> None:
        self.last = what

    def waits(self, what: str) -> None:
        self.waited.append(what)

    def moved(self) -> None:
        self.progress += 1


async def test_the_loop_says_what_it_does_and_what_it_waits_for(servers: Servers, make_topic: MakeTopic) -> None:
    topic, said, sink = await make_topic(partitions=1), Said(), SlowMemory()
    sink.gate = asyncio.Event()
    sink.failures.append(Transient("the database is away"))
    async with _running(replace(_config(servers, topic), steps=said), sink):
        await wait_until("it looks for records", lambda: said.last == "look for records", 30)
        await _produce(servers, topic, range(10))
        await wait_until("the sink has records", lambda: sink.waiting, 30)
        assert (said.last, said.progress) == ("handle records", 0)  # and says nothing more while that hangs
        sink.gate.set()
        await wait_until("they are handled", lambda: said.progress > 0, 30)
        await wait_until("it looks for more", lambda: said.last == "look for records", 30)
    assert any("the database is away" in each for each in said.waited)


async def test_a_transient_error_rewinds_to_what_is_durable(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=2)
    await _produce(servers, topic, range(300))
    sink = Memory()
    sink.failures = [Transient("database is away"), ConnectionResetError()]
    heard: list[str | None] = []
    async with _running(_config(servers, topic), sink, heard):
        await wait_until("300 records", lambda: len(sink.values) == 300)
        await wait_until("the recovery to be told", lambda: heard[-1:] == [None])
    assert sorted(map(int, sink.values)) == list(range(300))
    assert "Transient: database is away" in heard
    assert sink.started >= 3


@pytest.mark.parametrize("form", ["raw", "light", "whole"])
async def test_a_loop_behind_an_open_transaction_says_what_it_waits_for(
    servers: Servers, make_topic: MakeTopic, form: str
) -> None:
    """Case 6: what is projector's and archiver's health."""
    topic = await make_topic(partitions=2)
    config = replace(_config(servers, topic), raw=form == "raw", light=form == "light")
    heard: list[str | None] = []

    class Idle(Memory):
        async def handle(self, records: Records) -> Offsets:
            return {}

    async with (
        open_transactional_producer(servers.kafka_brokers, "test", f"{topic}-etl") as producer,
        _running(config, Idle(), heard),
    ):
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"x", partition=1)
        await _produce(servers, topic, range(200))
        blocked = f"waiting: blocked by an open transaction on {topic}/1 for "
        await wait_until("it says so", lambda: (heard[-1:] or [None])[0] is not None, 15)
        assert (heard[-1] or "").startswith(blocked)
        assert heard[0] is None
        await producer.commit_transaction()
        await wait_until("it is well", lambda: heard[-1] is None, 10)


async def test_a_bug_ends_the_loop(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(1))
    sink = Memory()
    sink.failures = [ZeroDivisionError("a bug")]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        async with asyncio.timeout(20):
            await consume(_config(servers, topic), sink, asyncio.Event())


async def test_the_sinks_position_wins_over_the_groups(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(10))
    config = _config(servers, topic)
    first = Memory()
    async with _running(config, first):
        await wait_until("10 records", lambda: len(first.values) == 10)
    second = Memory()
    second.next[TopicPartition(topic, 0)] = 4
    async with _running(config, second):
        await wait_until("the last 6 records", lambda: len(second.values) == 6)
    assert [int(v) for v in second.values] == [4, 5, 6, 7, 8, 9]


async def _handled(config: ConsumerConfig, records: int) -> list[bytes]:
    """What a sink without positions of its own was given, once it is so many records."""
    sink = Memory(own_offsets=False)
    async with _running(config, sink):
        await wait_until(f"{records} records", lambda: len(sink.values) == records)
    return sink.values


async def test_without_positions_of_its_own_a_sink_goes_on_at_the_groups_commit(
    servers: Servers, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(10))
    config = _config(servers, topic)
    await _handled(config, 10)
    await _produce(servers, topic, range(10, 13))
    assert [int(value) for value in await _handled(config, 3)] == [10, 11, 12]


async def test_a_position_past_the_end_is_a_state_and_no_crash(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(3))
    sink, heard = Memory(), list[str | None]()
    sink.next[TopicPartition(topic, 0)] = 99
    async with _running(_config(servers, topic), sink, heard):
        await wait_until("the reason", lambda: bool(heard) and "which ends at 3" in str(heard[-1]))
        assert None not in heard
        sink.next[TopicPartition(topic, 0)] = 1  # mended
        await wait_until("the rest", lambda: sink.values == [b"1", b"2"])


async def test_two_consumers_share_and_hand_over(servers: Servers, make_topic: MakeTopic) -> None:
    """Both keep positions in one place, as instances of a service do: nothing may be lost or handled twice."""
    topic = await make_topic(partitions=4)
    config = _config(servers, topic)
    one, two = Memory(), Memory()
    two.next = one.next
    two.values = one.values
    await _produce(servers, topic, range(500))
    async with _running(config, one):
        await wait_until("the first to begin", lambda: len(one.values) > 0)
        async with _running(config, two):
            await wait_until("partitions to be shared", lambda: bool(one.released) and two.started > 0)
            await _produce(servers, topic, range(500, 1500))
            await wait_until("1500 records", lambda: len(one.values) >= 1500)
        await _produce(servers, topic, range(1500, 2000))
        await wait_until("2000 records", lambda: len(one.values) >= 2000)
    assert sorted(map(int, one.values)) == list(range(2000))


async def test_a_group_that_read_a_transactional_topic_to_its_end_has_no_lag(
    servers: Servers, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    async with open_transactional_producer(servers.kafka_brokers, "test", f"test-{uuid.uuid4().hex}") as producer:
        for number in range(3):
            async with producer.transaction():
                await send_in_transaction(producer, [Outgoing(topic, b"k", b"%d" % number)])
    sink, config = Memory(), _config(servers, topic)
    sink.skips_allowed = True
    partition = TopicPartition(topic, 0)
    async with open_admin(servers.kafka_brokers) as admin, _running(config, sink):

        async def committed() -> bool:
            return (await committed_offsets(admin, config.group)).get(partition) == 6

        # Three records and the three markers behind them.
        await wait_until("the group to commit the end of the topic", committed)
    assert sink.values == [b"0", b"1", b"2"]


async def test_topics_are_made_once(servers: Servers) -> None:
    name = f"test.{uuid.uuid4().hex[:8]}"
    spec = TopicSpec(name, 3, {"retention.ms": "3600000"})
    assert await ensure_topics(servers.kafka_brokers, [spec]) == [name]
    assert await ensure_topics(servers.kafka_brokers, [spec]) == []
    async with open_reader(servers.kafka_brokers, "test") as reader:
        ranges = await topic_ranges(reader, [name])
    assert ranges == {TopicPartition(name, p): (0, 0) for p in range(3)}


async def test_new_partitions_are_read_within_ten_seconds_from_their_start(
    servers: Servers, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(10))
    sink, config = Memory(), _config(servers, topic)
    async with _running(config, sink), open_admin(servers.kafka_brokers) as admin:
        await wait_until("the first 10 records", lambda: len(sink.values) == 10)
        await admin.create_partitions({topic: NewPartitions(3)})
        async with open_producer(servers.kafka_brokers, "test") as producer:
            for partition in (1, 2):
                sent = await send_all(producer, [Outgoing(topic, b"k", b"new", partition=partition) for _ in range(5)])
                assert not [r for r in sent if isinstance(r, Exception)]
        await wait_until("the new partitions' records, from their start", lambda: len(sink.values) == 20, 10)
    assert {p.partition for p in sink.next} == {0, 1, 2}


async def _made_again(servers: Servers, topic: str, partitions: int = 1) -> None:
    async with open_admin(servers.kafka_brokers) as admin:
        before = await topic_ids(admin._client, [topic])
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return await topic_ids(admin._client, [topic]) == {}

        await wait_until("the topic to be gone", gone)
        await ensure_topics(servers.kafka_brokers, [TopicSpec(topic, partitions)])

        async def back() -> bool:
            return (await topic_ids(admin._client, [topic])).get(topic, before[topic]) != before[topic]

        await wait_until("the topic to be back", back)


@pytest.mark.parametrize("own_offsets", [True, False])
async def test_a_topic_made_again_is_read_from_its_start_within_ten_seconds(
    servers: Servers, make_topic: MakeTopic, own_offsets: bool
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(3))
    sink, heard = Memory(own_offsets=own_offsets), list[str | None]()
    async with _running(_config(servers, topic), sink, heard):
        await wait_until("the old records", lambda: len(sink.values) == 3)
        await _made_again(servers, topic)
        await _produce(servers, topic, range(100, 111))
        await wait_until("all of the new topic's", lambda: len(sink.values) == 14, 10)
        await wait_until("the loop to be well again", lambda: heard[-1] is None, 10)
    assert sorted(map(int, sink.values)) == [0, 1, 2, *range(100, 111)]


async def test_a_topic_made_again_while_nobody_read_is_another_topic(servers: Servers, make_topic: MakeTopic) -> None:
    """The group's offset is one of the old topic: Kafka keeps it where it was committed again meanwhile."""
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(3))
    config = _config(servers, topic)
    await _handled(config, 3)
    old = (await _ids(servers, topic))[topic]
    await _made_again(servers, topic)
    await _produce(servers, topic, range(100, 111))
    await _commit(servers, config, topic, 3, old)
    second = Memory(own_offsets=False)
    async with _running(config, second):
        await wait_until("all of the new topic's", lambda: len(second.values) == 11, 10)


async def test_a_topic_that_is_gone_is_said_and_the_others_go_on(servers: Servers, make_topic: MakeTopic) -> None:
    gone, stays = f"test.{uuid.uuid4().hex[:8]}", await make_topic(partitions=1)
    await ensure_topics(servers.kafka_brokers, [TopicSpec(gone, 2)])
    sink, heard = Memory(), list[str | None]()
    config = replace(_config(servers, gone), topics=(gone, stays))
    async with _running(config, sink, heard):
        await _produce(servers, gone, range(4))
        await wait_until("its records", lambda: len(sink.values) == 4)
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([gone])
        await wait_until("the missing topic to be named", lambda: heard[-1] == f"there is no topic {gone}", 10)
        await _produce(servers, stays, range(10, 15))
        await wait_until("the other's records", lambda: len(sink.values) == 9, 10)
        assert heard[-1] == f"there is no topic {gone}"
        await ensure_topics(servers.kafka_brokers, [TopicSpec(gone, 1)])
        await _produce(servers, gone, range(20, 22))
        await wait_until("the new one's records", lambda: len(sink.values) == 11, 10)
        await wait_until("the loop to be well again", lambda: heard[-1] is None, 10)
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_topics([gone])


async def test_what_retention_took_from_under_the_loop_is_counted(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(20))
    sink, config = Memory(), _config(servers, topic)
    sink.skips_allowed = True
    held = asyncio.Event()
    handle = sink.handle

    async def hold(records: Records) -> Offsets:
        await held.wait()
        return await handle(records)

    sink.handle = hold  # type: ignore[method-assign]
    async with _running(replace(config, max_records=5, max_partition_fetch_bytes=200), sink):
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(20)})
        await _produce(servers, topic, range(20, 25))
        held.set()
        await wait_until("what came after", lambda: sink.values[-1:] == [b"24"], 10)


async def _ids(servers: Servers, topic: str) -> dict[str, str]:
    async with open_admin(servers.kafka_brokers) as admin:
        return await topic_ids(admin._client, [topic])


async def _commit(servers: Servers, config: ConsumerConfig, topic: str, offset: int, metadata: str) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers.kafka_brokers, group_id=config.group, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.commit({TopicPartition(topic, 0): (offset, metadata)})
    await consumer.stop()


def _damaging(offset: int, times: int) -> "Callable[..., Any]":
    """FetchById._heard with a byte of the batch at `offset` turned round, as a bad disk would."""
    heard, left = FetchById._heard, [times]

    def broken(self: FetchById, topic: str, partitions: Any) -> Any:
        parts = []
        for *before, records, tags in partitions:
            data, at = bytearray(records or b""), 0
            while at + 61 <= len(data):
                base, length = struct.unpack_from(">qi", data, at)
                if base == offset and left[0] > 0:
                    left[0] -= 1
                    data[at + 12 + length - 1] ^= 0xFF  # the last of its bytes
                at += 12 + length
            parts.append((*before, bytes(data), tags))
        return heard(self, topic, parts)

    return broken


@pytest.mark.parametrize("kind", ["whole", "light", "raw"])
@pytest.mark.parametrize(("times", "lost"), [(2, 0), (10**6, 1)])
async def test_a_damaged_batch_is_tried_again_then_stepped_over_and_nobody_else_is_held_up(
    servers: Servers, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch, kind: str, times: int, lost: int
) -> None:
    topic = await make_topic(partitions=2)
    monkeypatch.setattr(FetchById, "_heard", _damaging(3, times))
    sink, heard = Counting(), list[str | None]()
    config = replace(_config(servers, topic), light=kind == "light", raw=kind == "raw")
    async with open_producer(servers.kafka_brokers, "test") as producer:
        for number in range(6):  # batches of their own
            for partition in (0, 1):
                (sent,) = await send_all(producer, [Outgoing(topic, b"k", b"%d" % number, partition=partition)])
                assert not isinstance(sent, Exception), sent
    async with _running(config, sink, heard):
        await wait_until("all that can be read", lambda: sink.count >= 2 * (6 - lost), 15)
        assert times == 2 or any("has a damaged batch at offset 3" in str(reason) for reason in heard)
        await wait_until("the loop to be well again", lambda: heard[-1] is None, 10)
    assert sink.offsets == {p: [n for n in range(6) if not (lost and n == 3)] for p in (0, 1)}


class Counting(Memory):
    """Counts what comes, whatever it is."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.offsets: dict[int, list[int]] = {}

    async def handle(self, records: Records) -> Offsets:
        for partition, batch in records.items():
            self.count += len(batch)
            self.offsets.setdefault(partition.partition, []).extend(record.offset for record in batch)
            self.next[partition] = batch[-1].offset + 1
        return {partition: self.next[partition] for partition in records}


async def test_one_more_than_there_are_partitions_waits_and_is_well(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    config, heard = _config(servers, topic), (list[str | None](), list[str | None]())
    async with _running(config, Memory(), heard[0]), _running(config, Memory(), heard[1]):
        await wait_until("both to be well", lambda: all(each[-1:] == [None] for each in heard))
        async with open_admin(servers.kafka_brokers) as admin:

            async def held() -> bool:
                return await held_partitions(admin._client, config.group) == {TopicPartition(topic, 0)}

            await wait_until("the partition to be somebody's", held)


@pytest.mark.parametrize("fetch_bytes", [1024 * 1024, 20_000])
async def test_what_was_fetched_of_a_topic_that_is_deleted_is_handled(
    servers: Servers, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch, fetch_bytes: int
) -> None:
    """It was acknowledged, and can't be read again; how much of it was never fetched is told."""
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, range(5))
    sink, ends, gate, looks = SlowMemory(), dict[TopicPartition, Ended](), asyncio.Event(), [0]

    async def looked(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> Any:
        found = await partitions_now(consumer, partitions)
        looks[0] += 1
        return found

    async def ended(partitions: Mapping[TopicPartition, Ended]) -> None:
        ends.update(partitions)

    monkeypatch.setattr(session, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(session, "partitions_now", looked)
    config = replace(_config(servers, topic), max_partition_fetch_bytes=fetch_bytes, ended=ended)
    heard: list[str | None] = []
    async with _running(config, sink, heard):
        await wait_until("the first records", lambda: len(sink.values) == 5)
        sink.gate = gate
        await _produce(servers, topic, range(5, 3005))
        await wait_until("some of the others to be taken", lambda: sink.waiting)
        before = looks[0]
        await wait_until("the end to be noted", lambda: looks[0] > before + 1)
        async with open_admin(servers.kafka_brokers) as admin:
            topic_id = (await topic_ids(admin._client, [topic]))[topic]
            await admin.delete_topics([topic])
        await wait_until("its end to be noticed", lambda: heard[-1] == f"there is no topic {topic}", 10)
        gate.set()
        await wait_until("its end to be told", lambda: bool(ends), 15)
    (end,) = ends.values()
    taken = len(sink.values)
    assert end == Ended(topic_id, taken, taken, 3005)
    assert taken > 5 + config.max_records  # more than what was being handled when it was deleted
    assert fetch_bytes > 100_000 or taken < 3005
