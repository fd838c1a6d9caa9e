"""Payments against a real broker and a real database."""

import json

import asyncpg
from aiokafka import AIOKafkaProducer
from atlas_local.testing import MakeTopic, Servers
from invoices import take_payments


async def pay(servers: Servers, topic: str, *payments: tuple[str, int]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers.kafka_brokers) as producer:
        for payment_id, cents in payments:
            value = json.dumps({"id": payment_id, "cents": cents}).encode()
            await producer.send_and_wait(topic, value, key=payment_id.encode())


async def test_a_payment_that_comes_twice_counts_once(servers: Servers, make_topic: MakeTopic, database: str) -> None:
    topic = await make_topic(partitions=2)
    await pay(servers, topic, ("a", 300), ("b", 120), ("a", 300))
    assert await take_payments(servers.kafka_brokers, topic, database) == 2
    await pay(servers, topic, ("c", 80))
    assert await take_payments(servers.kafka_brokers, topic, database) == 1
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT sum(cents) FROM payments") == 500
    await connection.close()


async def test_an_empty_topic_has_no_payments(servers: Servers, make_topic: MakeTopic, database: str) -> None:
    assert await take_payments(servers.kafka_brokers, await make_topic(), database) == 0
