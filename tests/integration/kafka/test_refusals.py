"""What a broker refuses is the answer of the one record, whatever it refuses it for; nobody else notices."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.outgoing import Delivery, Outgoing, RecordRefused, RecordTooLarge
from atlas_kafka.producing.producer import Producer, open_producer
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

LIMIT_BYTES = 2000
TOMORROW_MS = 24 * 3600 * 1000
# Each kind of bad record, and what its answer has to be.
BAD: dict[str, tuple[Callable[[str, bytes], Outgoing], type[Exception], str]] = {
    "large": (lambda topic, key: Outgoing(topic, key, b"x" * 5000), RecordTooLarge, "max.message.bytes"),
    "far ahead": (
        lambda topic, key: Outgoing(topic, key, b"x", timestamp_ms=time.time_ns() // 1_000_000 + TOMORROW_MS),
        RecordRefused,
        "imestamp",
    ),
    "no number": (lambda topic, key: Outgoing(topic, key, b"x", timestamp_ms=1 << 70), RecordRefused, "int"),
    "header": (lambda topic, key: Outgoing(topic, key, b"x", [("\udce9", b"1")]), RecordRefused, "surrogates"),
    "huge": (lambda topic, key: Outgoing(topic, key, b"x" * 2_000_000), RecordTooLarge, "the limit is"),
}


async def read_all(servers: Servers, topic: str) -> list[tuple[int, int, bytes, bytes]]:
    """Partition, offset, key and value of everything on the topic."""
    async with open_reader(servers.kafka_brokers, "test") as reader:
        ends = {place: end for place, (_, end) in (await topic_ranges(reader, [topic])).items() if end}
        reader.assign(list(ends))
        await reader.seek_to_beginning(*ends)
        rows: list[tuple[int, int, bytes, bytes]] = []
        while len(rows) < sum(ends.values()):
            for batch in (await reader.getmany(timeout_ms=5000)).values():
                rows += [(r.partition, r.offset, r.key, r.value) for r in batch]
    return rows


@dataclass
class Traffic:
    """Callers that post good and bad records side by side, and what they were told."""

    producer: Producer
    topic: str
    told: dict[tuple[int, int], bytes] = field(default_factory=dict)

    async def caller(self, name: int, posts: int) -> None:
        for post in range(posts):
            records: list[Outgoing] = []
            kinds: list[str | None] = []
            for line in range(8):
                kind = list(BAD)[(name + post) % len(BAD)] if (name + line) % 5 == 0 else None
                key = b"%d" % (name % 4)
                good = Outgoing(self.topic, key, b"%04d/%04d/%04d" % (name, post, line))
                records.append(BAD[kind][0](self.topic, key) if kind else good)
                kinds.append(kind)
            results = await self.producer.send_all(records)
            for record, kind, result in zip(records, kinds, results, strict=True):
                if kind is None:
                    assert isinstance(result, Delivery), result
                    assert record.value is not None
                    assert (result.partition, result.offset) not in self.told
                    self.told[result.partition, result.offset] = record.value
                else:
                    assert isinstance(result, BAD[kind][1]), (kind, result)
                    assert BAD[kind][2] in str(result)


async def test_good_and_refused_records_side_by_side_at_load(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=3, config={"max.message.bytes": str(LIMIT_BYTES)})
    async with open_producer(servers.kafka_brokers, "test") as producer:
        traffic = Traffic(producer, topic)
        await asyncio.gather(*(traffic.caller(name, 12) for name in range(40)))
    found = await read_all(servers, topic)
    assert {(partition, offset): value for partition, offset, _, value in found} == traffic.told
    # A caller's records of a key are in the order in which it sent them.
    for caller in range(40):
        own = [value for _, _, _, value in sorted(found) if value.startswith(b"%04d/" % caller)]
        assert own == sorted(own)


async def test_a_topic_with_keys_only_names_the_record_without(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1, config={"cleanup.policy": "compact"})
    records = [Outgoing(topic, b"a", b"1"), Outgoing(topic, None, b"2"), Outgoing(topic, b"b", b"3")]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        first, second, third = await producer.send_all(records)
        (fourth,) = await producer.send_all([Outgoing(topic, b"c", b"4")])
    assert [first, third, fourth] == [Delivery(topic, 0, offset) for offset in range(3)]
    assert isinstance(second, RecordRefused)
    assert "key" in second.reason


async def _delete(servers: Servers, topic: str) -> None:
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await wait_until("the topic to be gone", gone)


async def test_posts_to_a_deleted_topic_hold_up_no_others(servers: Servers, make_topic: MakeTopic) -> None:
    """And once it is there again, it takes records again."""
    doomed, healthy = await make_topic(partitions=2), await make_topic(partitions=2)
    stop, slowest = asyncio.Event(), 0.0

    async with open_producer(servers.kafka_brokers, "test") as producer, asyncio.TaskGroup() as tasks:

        async def post_on() -> None:
            nonlocal slowest
            while not stop.is_set():
                began = time.monotonic()
                (result,) = await producer.send_all([Outgoing(healthy, b"k", b"v")])
                assert isinstance(result, Delivery), result
                slowest = max(slowest, time.monotonic() - began)

        (before,) = await producer.send_all([Outgoing(doomed, b"k", b"v")])
        assert isinstance(before, Delivery)
        tasks.create_task(post_on())
        await _delete(servers, doomed)
        slowest = 0.0
        lost = await asyncio.gather(*(producer.send_all([Outgoing(doomed, b"k%d" % n, b"v")]) for n in range(20)))
        again = await producer.send_all([Outgoing(doomed, b"k", b"v")])
        for (result,) in [*lost, again]:
            assert isinstance(result, UnknownTopicOrPartitionError), result
            assert doomed in str(result)
        assert slowest < 2.0, "the healthy topic waited for the missing one"
        await make_topic(doomed, partitions=2)
        (after,) = await producer.send_all([Outgoing(doomed, b"k", b"v")])
        assert after == Delivery(doomed, before.partition, 0)
        stop.set()


async def test_a_topic_that_never_was_fails_by_itself(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        records = [Outgoing("never.was", b"k", b"v"), Outgoing(topic, b"k", b"v")]
        missing, there = await producer.send_all(records)
    assert isinstance(missing, UnknownTopicOrPartitionError)
    assert there == Delivery(topic, 0, 0)


async def test_a_lost_sequence_costs_no_record(servers: Servers, make_topic: MakeTopic) -> None:
    """A producer that the broker does not follow any more goes on under a new id, on that partition alone."""
    topic = await make_topic(partitions=2)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await producer.send_all([Outgoing(topic, None, b"1", partition=partition) for partition in (0, 1)])
        queue = producer._queues[topic, 0]
        queue._sequence += 5
        former = queue.identity
        values = [b"%d" % n for n in range(100)]
        results = await producer.send_all([Outgoing(topic, None, value, partition=0) for value in values])
        assert results == [Delivery(topic, 0, 1 + n) for n in range(100)]
        assert queue.identity != former
        assert producer._queues[topic, 1].identity == former


async def test_smaller_batches_after_a_refusal_for_size(servers: Servers, make_topic: MakeTopic) -> None:
    """A topic that takes small batches only gets them; all records arrive, in order."""
    topic = await make_topic(partitions=1, config={"max.message.bytes": "4000"})
    values = [b"%05d" % n + b"x" * 500 for n in range(400)]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        for _ in range(2):
            results = await producer.send_all([Outgoing(topic, None, value, partition=0) for value in values])
            assert all(isinstance(result, Delivery) for result in results)
    assert [value for *_, value in sorted(await read_all(servers, topic))] == values * 2


async def test_a_partition_is_named_that_is_not_there(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        bad, good = await producer.send_all([Outgoing(topic, b"a", b"1", partition=9), Outgoing(topic, b"b", b"2")])
    assert "no 9" in str(bad)
    assert good == Delivery(*TopicPartition(topic, 0), 0)
