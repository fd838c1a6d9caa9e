"""Transactions as the relay sends them, in both versions of Kafka's protocol."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, MessageSizeTooLargeError, ProducerFenced
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_local.waiting import wait_until
from atlas_relay.sending import transactions
from atlas_relay.sending.splice import SplicedBatch
from atlas_relay.sending.transactions import open_client, open_transactions

pytestmark = pytest.mark.integration

WITHIN_S = 20


@pytest.fixture(params=[1, 2])
def version(request, monkeypatch):
    monkeypatch.setattr(transactions, "transaction_version", lambda _answer: request.param)
    return request.param


@pytest.fixture
async def client(servers):
    async with open_client(servers.kafka_brokers, "test", WITHIN_S) as client:
        yield client


@pytest.fixture
async def producers(client, version):
    return await open_transactions(client, [f"one-{uuid4()}", f"two-{uuid4()}"])


def batch(*items: tuple[str, int], size: int = 0) -> SplicedBatch:
    made = SplicedBatch(1234, transactional=True)
    rows = [(0, n, 0, "", key.encode(), str(n).encode().zfill(size), b"\x00") for key, n in items]
    assert made.fill(rows, 0, 1 << 30, 1 << 30) == len(rows)
    return made


def parcels(topic: str, *batches: SplicedBatch) -> dict[TopicPartition, list[SplicedBatch]]:
    return {TopicPartition(topic, 0): list(batches)}


async def sent(producers, topic, *batches) -> list[BaseException | None]:
    async with asyncio.timeout(WITHIN_S):
        return [outcome.error for outcome in await producers.send(parcels(topic, *batches))]


async def test_what_is_committed_can_be_read_in_order(producers, client, outbox):
    """Several batches of a partition in a transaction, several partitions, more transactions than producers."""
    await client.add_topic(outbox.topic)
    expected = []
    for n in range(0, 70, 10):
        batches = {
            TopicPartition(outbox.topic, partition): [
                batch((f"k{partition}", n)),
                batch((f"k{partition}", n + 1), (f"k{partition}", n + 2)),
                batch((f"k{partition}", n + 3)),
            ][: partition + 1]
            for partition in range(3)
        }
        outcomes = await producers.send(batches)
        assert [outcome.error for outcome in outcomes] == [None] * 6
        expected += [(f"k{p}", n + i) for p, count in ((0, 1), (1, 3), (2, 4)) for i in range(count)]
    await outbox.delivered.until(expected)


async def test_a_topic_that_has_only_just_been_made(producers, client, make_topic, on_topic):
    """Its partitions have leaders that do not know of it yet."""
    for _ in range(5):
        topic = await make_topic()
        await client.add_topic(topic)
        assert await sent(producers, topic, batch(("k", 1))) == [None]
        await on_topic(topic).until([("k", 1)])


async def test_after_a_refusal_nothing_of_the_transaction_is_there(producers, client, outbox, make_topic):
    small = await make_topic(config={"max.message.bytes": "2000"})
    await client.add_topic(outbox.topic)
    await client.add_topic(small)
    async with asyncio.timeout(WITHIN_S):
        outcomes = await producers.send(
            parcels(outbox.topic, batch(("k", 1))) | parcels(small, batch(("k", 2), size=3000), batch(("k", 3)))
        )
    assert [type(outcome.error) for outcome in outcomes] == [type(None), MessageSizeTooLargeError]
    await open_transactions(client, [producers._producers[0].transactional_id])  # which ends it
    assert await outbox.delivered.read() == []


async def test_a_fenced_producer_commits_nothing(producers, client, outbox):
    await client.add_topic(outbox.topic)
    assert await sent(producers, outbox.topic, batch(("k", 1))) == [None]
    await open_transactions(client, [each.transactional_id for each in producers._producers])
    for _ in range(2):
        try:
            errors = await sent(producers, outbox.topic, batch(("k", 2)))
        except KafkaError as error:
            errors = [error]
        assert isinstance(errors[0], InvalidProducerEpoch | ProducerFenced)
        producers._producers.rotate()
    assert await outbox.delivered.read() == [("k", 1)]


async def test_a_transaction_under_way_is_ended_by_whoever_fences_it(producers, client, outbox, monkeypatch):
    async def never(_producer):
        raise TimeoutError

    await client.add_topic(outbox.topic)
    monkeypatch.setattr(producers, "_commit", never)
    with pytest.raises(TimeoutError):
        await producers.send(parcels(outbox.topic, batch(("k", 1))))
    heirs = await open_transactions(client, [each.transactional_id for each in producers._producers])
    assert await sent(heirs, outbox.topic, batch(("k", 2))) == [None]
    assert await outbox.delivered.read() == [("k", 2)]


async def test_the_version_is_what_the_cluster_has_agreed_on(client):
    """The brokers that come with Atlas speak the second one; asked of them and not assumed."""
    assert (await open_transactions(client, [f"any-{uuid4()}"]))._second_version


async def test_after_a_refusal_nobody_waits_for_the_transaction(producers, client, outbox, make_topic, settings):
    """It is aborted at once: left open, it would hold up read-committed readers until it is timed out."""
    small = await make_topic(config={"max.message.bytes": "2000"})
    await client.add_topic(outbox.topic)
    await client.add_topic(small)
    async with asyncio.timeout(WITHIN_S):
        await producers.send(parcels(outbox.topic, batch(("k", 1))) | parcels(small, batch(("k", 2), size=3000)))

    async def is_settled() -> bool:
        async with (
            open_reader(settings.kafka_brokers, "test") as committed,
            open_reader(settings.kafka_brokers, "test", read_committed=False) as all_of_it,
        ):
            ends = [await topic_ranges(reader, [outbox.topic]) for reader in (committed, all_of_it)]
        return ends[0] == ends[1] and any(end for _, end in ends[0].values())

    await wait_until("the transaction to be settled", is_settled, 8)  # it is timed out after 15 s
