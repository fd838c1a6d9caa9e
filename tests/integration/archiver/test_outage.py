"""The object store goes away in mid-flow: the archiver says so, waits, and nothing is lost or doubled."""

from typing import Any

import aiohttp
import pytest
from atlas_archive.chain.listing import summaries
from atlas_archive.proof.verify import verify
from atlas_archive.store import S3Address, S3Store, open_store
from atlas_cli.topics.topic_reader import open_topic_reader
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import Servers, ServerSet
from atlas_local.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


async def produce(servers: Servers, topic: str, start: int, stop: int) -> None:
    async with open_producer(servers.kafka_brokers, "test") as producer:
        records = [Outgoing(topic, b"%d" % i, b"value %d" % i, partition=i % 3) for i in range(start, stop)]
        results = await send_all(producer, records)
    assert [result for result in results if isinstance(result, Exception)] == []


async def reasons(port: int) -> dict[str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/health/ready") as answer,
    ):
        body = await answer.json()
        assert (answer.status == 503) == bool(body["reasons"])
        found: dict[str, str] = body["reasons"]
        return found


async def until_archived(store: S3Store, topic: str, count: int) -> None:
    async def done() -> bool:
        return sum(row.records for row in await summaries(store, topic)) == count

    await wait_until(f"{count} records archived", done, 30)


async def test_the_store_is_away_for_a_while(private_servers: ServerSet, archivers: Any, unused_tcp_port: int) -> None:
    servers, topic = private_servers.servers, "outage.events"
    await ensure_topics(servers.kafka_brokers, [TopicSpec(topic, 3), TopicSpec("health.heartbeats", 1)])
    address = S3Address("outage", servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)
    start = archivers.on(servers, address.bucket).run
    await produce(servers, topic, 0, 300)
    async with open_store(address) as store, start(topic, http_port=unused_tcp_port):
        await wait_until("the bucket to be made", lambda: reasons_none(unused_tcp_port), 20)
        await until_archived(store, topic, 300)
        await private_servers.s3.stop()
        await produce(servers, topic, 300, 900)

        async def said() -> bool:
            found = await reasons(unused_tcp_port)
            return "object_store" in found and "consumer" in found

        await wait_until("the archiver to say why it is not ready", said, 20)
        await private_servers.s3.start()
        await produce(servers, topic, 900, 1000)
        await until_archived(store, topic, 1000)
        await wait_until("the archiver to be ready again", lambda: reasons_none(unused_tcp_port), 20)
        async with open_topic_reader(servers.kafka_brokers) as reader:
            (report,) = await verify(store, only=[topic], reader=reader)
    assert report.problems == []
    assert (report.records, report.compared_with_topic, report.behind) == (1000, 1000, 0)


async def reasons_none(port: int) -> bool:
    try:
        return await reasons(port) == {}
    except aiohttp.ClientConnectionError:
        return False
