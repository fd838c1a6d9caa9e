"""atlas archive ls and verify, on a real bucket and topic."""

import json
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from atlas_archive.batches import pack
from atlas_archive.manifests import PartitionPath
from atlas_archive.records import Record
from atlas_archive.segments import Segment, store_segment
from atlas_archive.store import S3Address, S3Store, open_store
from atlas_cli.main import app
from atlas_kafka.producer import Outgoing, open_producer, send_all
from atlas_kafka.topic_ids import topic_ids
from atlas_local.testing import MakeTopic, Servers
from typer.testing import CliRunner, Result

pytestmark = pytest.mark.integration


async def _nothing() -> None:
    return


async def archive_topic(servers: Servers, store: S3Store, topic: str) -> str:
    """A topic of 100 records and its archive of two segments; gives the key of the first data object."""
    values = [b"value %d" % i for i in range(100)]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await send_all(producer, [Outgoing(topic, b"k", value, timestamp_ms=7, partition=0) for value in values])
    client = AIOKafkaClient(bootstrap_servers=servers.kafka_brokers)
    await client.bootstrap()
    path = PartitionPath(topic, (await topic_ids(client, [topic]))[topic], 0)
    await client.close()
    keys = []
    for start in (0, 60):
        segment = Segment(path, start, 0, lambda _: None)
        segment.add([pack([Record(i, 7, b"k", (), values[i]) for i in range(start, min(start + 60, 100))])])
        keys.append((await store_segment(store, segment, "test", _nothing)).manifest.objects[0].key)
    return keys[0]


@pytest.fixture
async def archived(
    servers: Servers, bucket: str, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[str, str, S3Address]:
    """A topic, the key of its first data object, and the bucket; the settings of the CLI say where they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name, value in {
        "KAFKA_BROKERS": servers.kafka_brokers,
        "S3_ENDPOINT": servers.s3_endpoint,
        "S3_ACCESS_KEY": servers.s3_access_key,
        "S3_SECRET_KEY": servers.s3_secret_key,
        "S3_BUCKET": bucket,
    }.items():
        monkeypatch.setenv(f"ATLAS_{name}", value)
    topic = await make_topic(partitions=1, config={"retention.ms": "-1"})
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)
    async with open_store(address) as store:
        return topic, await archive_topic(servers, store, topic), address


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["archive", *args])


def test_ls(archived: tuple[str, str, S3Address]) -> None:
    topic, _, _ = archived
    (row,) = json.loads(run("ls", topic, "--json").stdout)
    assert (row["topic"], row["partition"], row["segments"], row["records"]) == (topic, 0, 2, 100)
    assert (row["start_offset"], row["next_offset"]) == (0, 100)
    assert topic in run("ls").stdout
    assert json.loads(run("ls", "nothing", "--json").stdout) == []


def test_verify(archived: tuple[str, str, S3Address]) -> None:
    topic, _, _ = archived
    result = run("verify", topic, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["ok"] is True
    (report,) = document["topics"]
    assert (
        report.items()
        >= {
            "topic": topic,
            "segments": 2,
            "records": 100,
            "problems": [],
            "compared_with_topic": 100,
        }.items()
    )
    assert "the archive is complete" in run("verify").stdout
    assert json.loads(run("verify", "--offline", "--json").stdout)["topics"][0]["compared_with_topic"] == 0


async def test_verify_names_what_is_missing(archived: tuple[str, str, S3Address]) -> None:
    import asyncio

    topic, key, address = archived
    async with open_store(address) as store:
        await store.delete(key)
    result = await asyncio.to_thread(run, "verify", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["ok"] is False
    assert any(key in problem for problem in document["topics"][0]["problems"])
    shown = await asyncio.to_thread(run, "verify", topic)
    assert shown.exit_code == 1
    assert key in shown.stdout.replace("\n", "")


def test_verify_of_an_unknown_topic_fails(archived: tuple[str, str, S3Address]) -> None:
    result = run("verify", "no.such.topic", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["topics"][0]["problems"] == ["no.such.topic: nothing is archived"]
