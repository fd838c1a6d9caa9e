"""atlas archive ls and verify, on a real bucket and topic."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Record
from atlas_archive.store import S3Address, open_store
from atlas_cli.main import app
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers
from typer.testing import CliRunner, Result

pytestmark = pytest.mark.integration


@pytest.fixture
async def archived(
    servers: Servers,
    command_settings: None,
    make_topic: MakeTopic,
    incarnation_of: Callable[[str], Awaitable[str]],
    store_segments: Callable[..., Awaitable[list[str]]],
) -> tuple[str, str]:
    """A topic of 100 records, and the key of the first data object of its archive of two segments."""
    topic = await make_topic(partitions=1, config={"retention.ms": "-1"})
    records = [Record(i, 7, b"k", (), b"value %d" % i) for i in range(100)]
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await send_all(producer, [Outgoing(topic, b"k", r.value, timestamp_ms=7, partition=0) for r in records])
    keys = await store_segments(PartitionPath(topic, await incarnation_of(topic), 0), records, 60)
    return topic, keys[0]


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["archive", *args])


def test_ls(archived: tuple[str, str]) -> None:
    topic, _ = archived
    (row,) = json.loads(run("ls", topic, "--json").stdout)
    assert (row["topic"], row["partition"], row["segments"], row["records"]) == (topic, 0, 2, 100)
    assert (row["start_offset"], row["next_offset"]) == (0, 100)
    assert topic in run("ls").stdout
    assert json.loads(run("ls", "nothing", "--json").stdout) == []


def test_verify(archived: tuple[str, str]) -> None:
    topic, _ = archived
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


async def test_verify_names_what_is_missing(archived: tuple[str, str], address: S3Address) -> None:
    topic, key = archived
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


def test_verify_of_an_unknown_topic_fails(archived: tuple[str, str]) -> None:
    result = run("verify", "no.such.topic", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["topics"][0]["problems"] == ["no.such.topic: nothing is archived"]
