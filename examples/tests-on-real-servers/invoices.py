"""Payments of invoices, from a topic into a table. Nothing of Atlas is in it: only its tests use Atlas."""

import json

import asyncpg
from aiokafka import AIOKafkaConsumer

TABLE = "CREATE TABLE payments (payment_id text PRIMARY KEY, cents bigint NOT NULL)"


async def take_payments(brokers: str, topic: str, dsn: str) -> int:
    """Write the payments that are on the topic now, each once; gives how many were new."""
    connection = await asyncpg.connect(dsn)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        new = 0
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for payment in (json.loads(record.value) for record in records):
                    written = await connection.execute(
                        "INSERT INTO payments VALUES ($1, $2) ON CONFLICT DO NOTHING", payment["id"], payment["cents"]
                    )
                    new += written == "INSERT 0 1"
        return new
    finally:
        await consumer.stop()
        await connection.close()
