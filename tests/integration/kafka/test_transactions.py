"""Open transactions on a real broker: found, named, ended."""

import itertools
import struct
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.record.util import calc_crc32c
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.cluster.transactions import abort_hanging, abort_of, open_transactions
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import MakeTopic, Servers, ServerSet
from atlas_local.waiting import wait_until
from atlas_relay.sending import marks

from tests.integration.foreign import Foreign, packed, put

pytestmark = pytest.mark.integration


async def _stable_end(servers: Servers, partition: TopicPartition) -> int:
    async with open_reader(servers.kafka_brokers, "test") as reader:
        return (await topic_ranges(reader, [partition.topic]))[partition][1]


async def test_the_oldest_open_transaction_is_named_and_aborted_by_its_id(
    servers: Servers, make_topic: MakeTopic, client: AIOKafkaClient
) -> None:
    topic = await make_topic(partitions=2)
    held, free = TopicPartition(topic, 0), TopicPartition(topic, 1)
    missing = TopicPartition(f"{topic}.no", 0)
    async with (
        open_transactional_producer(servers.kafka_brokers, "a", f"{topic}-a") as first,
        open_transactional_producer(servers.kafka_brokers, "b", f"{topic}-b") as second,
    ):
        for producer in (first, second):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"x", partition=0)
        found = await open_transactions(client, [held, free, missing])
        assert set(found) == {held}
        transaction = found[held]
        assert (transaction.transactional_id, transaction.start, transaction.hanging) == (f"{topic}-a", 0, False)
        assert transaction.timeout_ms is not None
        assert transaction.started_at is not None
        assert abs(transaction.started_at - transaction.last_write_at) < 30_000
        assert await _stable_end(servers, held) == 0

        await abort_of(servers.kafka_brokers, f"{topic}-a")
        assert (await open_transactions(client, [held]))[held].transactional_id == f"{topic}-b"
        with pytest.raises(KafkaError):
            await first.send_and_wait(topic, b"x", partition=0)
        await second.commit_transaction()
    assert await open_transactions(client, [held]) == {}
    assert await open_transactions(client, []) == {}


async def test_a_marker_ends_a_transaction_in_one_partition(
    servers: Servers, make_topic: MakeTopic, client: AIOKafkaClient
) -> None:
    """What is written for a hanging transaction, whose coordinator has forgotten it."""
    topic = await make_topic(partitions=1)
    partition = TopicPartition(topic, 0)
    async with open_transactional_producer(servers.kafka_brokers, "a", f"{topic}-a") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"x", partition=0)
        transaction = (await open_transactions(client, [partition]))[partition]
        await abort_hanging(client, partition, transaction)

        async def ended() -> bool:
            return await _stable_end(servers, partition) == 2

        await wait_until("the record and its marker are behind the last stable offset", ended, 10)
        assert await open_transactions(client, [partition]) == {}
        await producer.abort_transaction()


async def test_a_transaction_that_hangs_is_told_from_one_that_is_open_and_is_ended(
    private_servers: ServerSet, private_topic: str
) -> None:
    """Written as clients of old could, and brokers before Kafka 3.6 took it: its coordinator never heard of it."""
    brokers = private_servers.servers.kafka_brokers
    partition = TopicPartition(private_topic, 0)
    async with (
        _verification_off(brokers),
        open_transactional_producer(brokers, "a", f"{private_topic}-a") as producer,
        open_producer(brokers, "test") as other,
    ):
        known = producer._txn_manager
        data = _transactional_batch(known.producer_id, known.producer_epoch)
        assert await put(brokers, private_topic, data, transactional_id=f"{private_topic}-a") == (0, 0)
        await send_all(other, [Outgoing(private_topic, None, b"behind it", [], partition=0)])
        client = AIOKafkaClient(bootstrap_servers=brokers)
        await client.bootstrap()
        try:
            transaction = (await open_transactions(client, [partition]))[partition]
            assert (transaction.producer_id, transaction.start, transaction.hanging) == (known.producer_id, 0, True)
            await abort_hanging(client, partition, transaction)

            async def ended() -> bool:
                return await open_transactions(client, [partition]) == {}

            await wait_until("it has ended", ended, 10)
        finally:
            await client.close()
    async with open_reader(brokers, "test") as reader:
        assert (await topic_ranges(reader, [private_topic]))[partition] == (0, 3)


async def test_a_relay_frees_what_hangs_of_a_sender_before_it(private_servers: ServerSet, private_topic: str) -> None:
    """A broker may come back with the records of a batch and without a word of its transaction: its mark and its events
    hold back every reader, and the relay that has to read the mark.
    """
    brokers = private_servers.servers.kafka_brokers
    progress = f"{private_topic}.progress"
    await ensure_topics(brokers, [marks.progress_topic(progress)])
    sender = next(name for name in map(str, itertools.count()) if marks.partition_of(progress, name).partition == 0)
    other = f"{private_topic}-other"
    places = [TopicPartition(progress, 0), TopicPartition(private_topic, 0)]
    client = AIOKafkaClient(bootstrap_servers=brokers)
    await client.bootstrap()
    try:
        async with _verification_off(brokers), open_transactional_producer(brokers, "a", sender) as producer:
            known = producer._txn_manager
            for place in places:
                data = _transactional_batch(known.producer_id, known.producer_epoch)

                async def taken(topic: str = place.topic, data: bytes = data) -> bool:
                    return (await put(brokers, topic, data, transactional_id=sender))[0] == 0

                # A topic that was made just now is not known to its leader at once.
                await wait_until(f"the batch to be on {place.topic}", taken, 10)
        async with open_transactional_producer(brokers, "b", other) as working:
            await working.begin_transaction()
            await working.send_and_wait(private_topic, b"x", partition=0)
            assert set(await open_transactions(client, places)) == set(places)
            await marks.settle(client, [sender])
            await marks.free(client, progress, [sender])

            async def only_the_other() -> bool:
                left = await open_transactions(client, places)
                return {place: each.transactional_id for place, each in left.items()} == {places[1]: other}

            await wait_until("what hung has ended, what is open goes on", only_the_other, 10)
            await working.commit_transaction()
        assert await marks.last_marks(brokers, progress, [sender]) == []
        await marks.free(client, progress, [sender])  # nothing hangs
    finally:
        await client.close()


@pytest.fixture
async def private_topic(private_servers: ServerSet) -> str:
    name = f"test.{uuid.uuid4().hex[:12]}"
    await ensure_topics(private_servers.servers.kafka_brokers, [TopicSpec(name, 1)])
    return name


@asynccontextmanager
async def _verification_off(brokers: str) -> AsyncIterator[None]:
    async with open_admin(brokers) as admin:
        node = str((await admin._client.fetch_all_metadata()).brokers().pop().nodeId)

        async def alter(configs: dict[str, str]) -> None:
            answers = await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, node, configs)])
            codes = [each[0] for answer in answers for each in answer.resources]
            assert codes == [0], codes

        await alter({"transaction.partition.verification.enable": "false"})
        try:
            yield
        finally:
            await alter({})


def _transactional_batch(producer_id: int, epoch: int) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    after = struct.pack(">hiqqqhii", 0x10, 0, now_ms, now_ms, producer_id, epoch, 0, 1) + packed(Foreign(), 0)
    rest = struct.pack(">ibI", 0, 2, calc_crc32c(after)) + after
    return struct.pack(">qi", 0, len(rest)) + rest
