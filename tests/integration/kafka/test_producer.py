"""send_all against a real broker."""

import asyncio
import uuid

from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.producing.producer import Delivery, Outgoing, Producer, RecordTooLarge, open_producer, send_all
from atlas_kafka_format.partitioning import partition_for
from atlas_local.testing import MakeTopic, Servers, ServerSet
from atlas_local.waiting import wait_until

# aiokafka's producer gives a batch ten seconds to find a leader, unless told otherwise.
OUTAGE_S = 12


async def _read(servers: Servers, topic: str, count: int) -> list[tuple[int, int, bytes | None, bytes | None]]:
    from aiokafka import TopicPartition

    async with open_reader(servers.kafka_brokers, "test") as reader:
        partitions = [TopicPartition(topic, p) for p in range(4)]
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        rows: list[tuple[int, int, bytes | None, bytes | None]] = []
        while len(rows) < count:
            batches = await reader.getmany(timeout_ms=5000)
            assert batches, f"{len(rows)} of {count} records arrived"
            rows += [(r.partition, r.offset, r.key, r.value) for batch in batches.values() for r in batch]
    return rows


async def test_every_record_has_its_result_in_order(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=4)
    records = [Outgoing(topic, b"k%d" % (i % 50), b"v%d" % i) for i in range(3000)]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        results = await send_all(producer, records)
    found = {(p, o): (k, v) for p, o, k, v in await _read(servers, topic, 3000)}
    assert len(found) == 3000
    for record, result in zip(records, results, strict=True):
        assert isinstance(result, Delivery)
        assert record.key is not None
        assert result.partition == partition_for(record.key, 4)
        assert found[result.partition, result.offset] == (record.key, record.value)


async def test_order_within_a_key_is_the_order_given(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=4)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        for start in range(0, 2000, 500):
            # Large values make several batches a partition.
            await send_all(
                producer, [Outgoing(topic, b"k%d" % (i % 7), b"%06d" % i * 200) for i in range(start, start + 500)]
            )
    by_key: dict[bytes, list[int]] = {}
    for _, _, key, value in sorted(await _read(servers, topic, 2000)):
        assert key is not None
        assert value is not None
        by_key.setdefault(key, []).append(int(value[:6]))
    assert len(by_key) == 7
    assert all(values == sorted(values) for values in by_key.values())


async def test_a_record_too_large_fails_alone(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    records = [Outgoing(topic, b"a", b"1"), Outgoing(topic, b"b", b"x" * 5_000_000), Outgoing(topic, b"c", b"3")]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        first, second, third = await send_all(producer, records)
    assert first == Delivery(topic, 0, 0)
    assert isinstance(second, RecordTooLarge)
    assert "5000" in str(second)
    assert third == Delivery(topic, 0, 1)


async def test_a_record_just_below_the_limit_is_taken(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        (result,) = await send_all(producer, [Outgoing(topic, b"a", b"x" * (1024 * 1024 - 200))])
    assert result == Delivery(topic, 0, 0)


async def test_an_unknown_partition_fails_alone(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        bad, good = await send_all(producer, [Outgoing(topic, b"a", b"1", partition=9), Outgoing(topic, b"b", b"2")])
    assert isinstance(bad, Exception)
    assert good == Delivery(topic, 0, 0)


async def test_an_outage_longer_than_any_time_out_leaves_the_producer_whole(private_servers: ServerSet) -> None:
    """What is sent while the broker stops, and while it is away, arrives once; and so does what is sent after."""
    brokers, topic = private_servers.servers.kafka_brokers, f"test.{uuid.uuid4().hex[:12]}"
    await ensure_topics(brokers, [TopicSpec(topic, 4, {})])
    results: list[Delivery | Exception] = []
    stop = asyncio.Event()

    async def send_on(producer: Producer) -> None:
        while not stop.is_set():
            results.extend(await send_all(producer, [Outgoing(topic, b"%d" % key, b"v") for key in range(100)]))

    async with open_producer(brokers, "test") as producer, asyncio.TaskGroup() as tasks:
        tasks.create_task(send_on(producer))
        await wait_until("records to be acknowledged", lambda: results)
        await private_servers.kafka.stop()
        await asyncio.sleep(OUTAGE_S)
        await private_servers.kafka.start()
        before = len(results)
        await wait_until("records to be acknowledged again", lambda: len(results) > before + 1000, 30)
        stop.set()
    delivered = [(result.partition, result.offset) for result in results if isinstance(result, Delivery)]
    assert len(delivered) == len(results), {str(result) for result in results if isinstance(result, Exception)}
    assert len(set(delivered)) == len(results)
