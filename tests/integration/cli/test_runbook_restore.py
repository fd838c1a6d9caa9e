"""docs/runbooks/restore-a-topic.md, tried as written: its commands in their order, on a topic of the test's own."""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable

import pytest
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Record
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.home import ROOT
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration
RUNBOOK = ROOT / "docs" / "runbooks" / "restore-a-topic.md"
RECORDS = [Record(i, 1_357_030_800_000 + i, b"k%d" % i, (("h", b"x"),), b"value %d" % i) for i in range(60)]


async def _delete(servers: Servers, topics: list[str]) -> None:
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_topics(topics)

        async def gone() -> bool:
            return not set(topics) & set(await admin.list_topics())

        await wait_until("the topics to be gone", gone)


async def test_the_runbook(
    servers: Servers,
    command_settings: None,
    make_topic: MakeTopic,
    incarnation_of: Callable[[str], Awaitable[str]],
    store_segments: Callable[..., Awaitable[list[str]]],
) -> None:
    topic = await make_topic(partitions=1, config={"retention.ms": "-1"})
    async with open_producer(servers.kafka_brokers, "test") as producer:
        await send_all(producer, [Outgoing(topic, r.key, r.value, r.headers, r.timestamp, 0) for r in RECORDS])
    await store_segments(PartitionPath(topic, await incarnation_of(topic), 0), RECORDS, len(RECORDS))
    await _delete(servers, [topic])
    text = await asyncio.to_thread(RUNBOOK.read_text)
    commands = [
        line.replace("bookings.events", topic) for line in re.findall(r"^\s*\$ atlas (.+)$", text, re.MULTILINE)
    ]
    assert [command.split()[0] for command in commands] == ["archive", "archive", "replay", "tail", "replay"]

    async def run(command: str) -> str:
        atlas = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "atlas_cli.main", *command.split()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await atlas.communicate()
        assert atlas.returncode == 0, f"atlas {command}: {errors.decode()}"
        return output.decode()

    listed, verified, replayed, tailed, back = [await run(command) for command in commands]
    assert topic in listed
    assert "the archive is complete" in verified
    assert f"60 records of {topic} are on {topic}.restored" in replayed
    assert tailed.count("\n") == 3
    assert f"60 records of {topic}.restored are on {topic}" in back
    again = json.loads(await run(f"{commands[-1]} --json"))
    assert (again["replayed"], again["resumed_from"]) == (0, {"0": 60})
    await _delete(servers, [f"{topic}.restored"])
