"""The four servers: data survive a stop and a kill, the owner's end leaves no process."""

import asyncpg
import pytest
from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from atlas_local.serverset import Servers, ServerSet
from redis.asyncio import Redis

pytestmark = pytest.mark.integration


def s3(servers: Servers):
    return get_session().create_client(
        "s3",
        endpoint_url=servers.s3_endpoint,
        aws_access_key_id=servers.s3_access_key,
        aws_secret_access_key=servers.s3_secret_key,
        region_name=servers.s3_region,
    )


async def write_everywhere(servers: Servers, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka_brokers)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka_brokers, acks="all")
    await producer.start()
    await producer.send_and_wait(name, b"kept", partition=0)
    await producer.stop()
    connection = await asyncpg.connect(servers.postgres_dsn)
    await connection.execute(f'CREATE TABLE "{name}" (what text)')
    await connection.execute(f'INSERT INTO "{name}" VALUES ($1)', "kept")
    await connection.close()
    async with s3(servers) as client:
        await client.create_bucket(Bucket=name)
        await client.put_object(Bucket=name, Key="a", Body=b"kept")


async def read_everywhere(servers: Servers, name: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka_brokers)
    await consumer.start()
    consumer.assign([TopicPartition(name, 0)])
    await consumer.seek_to_beginning()
    record = await consumer.getone()
    await consumer.stop()
    connection = await asyncpg.connect(servers.postgres_dsn)
    row = await connection.fetchval(f'SELECT what FROM "{name}"')
    await connection.close()
    async with s3(servers) as client:
        answer = await client.get_object(Bucket=name, Key="a")
        body = await answer["Body"].read()
    return [record.value, row.encode(), body]


async def test_data_survive_a_stop(private_servers: ServerSet) -> None:
    await write_everywhere(private_servers.servers, "stopped")
    redis = Redis.from_url(private_servers.servers.redis_url)
    await redis.set("stopped", "kept")
    await redis.aclose()

    await private_servers.stop()
    assert not any(runner.running for runner in private_servers.all)
    await private_servers.start()

    assert await read_everywhere(private_servers.servers, "stopped") == [b"kept"] * 3
    redis = Redis.from_url(private_servers.servers.redis_url)
    assert await redis.get("stopped") == b"kept"
    await redis.aclose()


async def test_data_survive_a_kill(private_servers: ServerSet) -> None:
    await write_everywhere(private_servers.servers, "killed")
    private_servers.kill()
    assert not any(runner.running for runner in private_servers.all)
    await private_servers.start()
    assert await read_everywhere(private_servers.servers, "killed") == [b"kept"] * 3
