"""Dead letters keep the record and say why."""

from aiokafka import ConsumerRecord, TopicPartition
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers


async def _one(servers: Servers, topic: str) -> ConsumerRecord:
    async with open_reader(servers.kafka_brokers, "test") as reader:
        reader.assign([TopicPartition(topic, 0)])
        await reader.seek_to_beginning()
        batches = await reader.getmany(timeout_ms=10_000)
        (records,) = batches.values()
        (record,) = records
        return record


async def test_the_record_is_kept_whole(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await make_topic(topic + ".dlq", partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await send_all(producer, [Outgoing(topic, b"key", b"not avro", [("ce_type", b"x.Y")])])
        record = await _one(servers, topic)
        await DeadLetters(producer).send(record, group="projector.test", error="unknown schema id 9")
    letter = await _one(servers, topic + ".dlq")
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"key", b"not avro")
    assert headers["ce_type"] == b"x.Y"
    assert headers["atlas_dlq_error"] == b"unknown schema id 9"
    assert headers["atlas_dlq_group"] == b"projector.test"
    assert (headers["atlas_dlq_topic"], headers["atlas_dlq_partition"], headers["atlas_dlq_offset"]) == (
        topic.encode(),
        b"0",
        b"0",
    )


async def test_a_record_at_the_limit_leaves_its_place_and_reason(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    await make_topic(topic + ".dlq", partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await send_all(producer, [Outgoing(topic, b"key", b"x" * (1024 * 1024 - 120))])
        record = await _one(servers, topic)
        await DeadLetters(producer).send(record, group="g", error="bad")
    letter = await _one(servers, topic + ".dlq")
    assert letter.value is None
    assert dict(letter.headers)["atlas_dlq_offset"] == b"0"
