"""docs/runbooks/a-partition-is-not-archived.md, tried as written, on an archive with a manifest that was cut off."""

import asyncio
import re
import shlex

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.format.records import Record
from atlas_archive.store import S3Address, open_store
from atlas_cli.main import app
from atlas_kafka.cluster.admin import open_admin
from atlas_local.home import ROOT
from atlas_local.testing import MakeTopic, Servers
from typer.testing import CliRunner

from tests.integration.cli.conftest import IncarnationOf, StoreSegments

pytestmark = pytest.mark.integration
RUNBOOK = ROOT / "docs" / "runbooks" / "a-partition-is-not-archived.md"
TOPIC = "hauls.events"
RECORDS = [Record(i, 1_357_030_800_000 + i, b"k", (), b"value %d" % i) for i in range(60)]


async def test_the_runbook(address: S3Address, command_settings: None, store_segments: object) -> None:
    path = PartitionPath(TOPIC, "id-1", 2)
    await store_segments(path, RECORDS, 20)  # type: ignore[operator]
    text = (await asyncio.to_thread(RUNBOOK.read_text)).replace("bookings.", "hauls.")
    commands = re.findall(r"^\$ atlas (.+)$", text, re.MULTILINE)
    names = [shlex.split(command)[1] for command in commands]
    assert names == ["verify", "set-aside", "set-aside", "look-again", "verify", "accept"]
    async with open_store(address) as store:
        last = await last_manifest(store, path)
        assert last is not None
        await store.put(last.key, [last.to_json()[:100]])

        def run(command: str, *more: str) -> tuple[int, str]:
            words = [last.key if word == "KEY" else word for word in shlex.split(command)]
            done = CliRunner().invoke(app, [*words, *more])
            return done.exit_code, done.output + str(done.exception or "")

        async def atlas(command: str, *more: str) -> tuple[int, str]:
            return await asyncio.to_thread(run, command, *more)

        code, said = await atlas(commands[0], "--offline")
        assert code == 1
        assert f"{last.key}: does not read as a manifest" in said.replace("\n", "")
        code, said = await atlas(commands[1])
        assert (code, "would go to set-aside/" in said.replace("\n", "")) == (0, True)
        assert await store.get(last.key) == last.to_json()[:100]
        # No such topic is in this Kafka: what the segment has, the archive has alone.
        code, said = await atlas(commands[2])
        assert (code, "its records are in the archive alone" in said.replace("\n", "")) == (1, True)
        assert await store.get(last.key) == last.to_json()[:100]
        code, said = await atlas(commands[2], "--though-lost")
        assert (code, "does not read as a manifest" in said.replace("\n", "")) == (0, True)
        code, said = await atlas(commands[2], "--though-lost")
        assert (code, "no object" in said) == (1, True)
        before = await last_manifest(store, path)
        assert before is not None
        assert before.next_offset == 40  # the archiver goes on here
        code, said = await atlas(commands[3])
        assert code == 0, said
        code, said = await atlas(commands[4], "--offline")
        assert (code, "the archive is complete" in said) == (0, True)
        code, said = await atlas(commands[5])
        assert code == 0, said


@pytest.mark.usefixtures("command_settings")
@pytest.mark.parametrize("case", ["there", "removed", "made again", "lost by the brokers"])
async def test_what_the_archive_alone_has_is_not_set_aside_unasked(
    servers: Servers,
    address: S3Address,
    store_segments: StoreSegments,
    incarnation_of: IncarnationOf,
    make_topic: MakeTopic,
    case: str,
) -> None:
    topic = await make_topic(partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=servers.kafka_brokers) as producer:
        for record in RECORDS[: 30 if case.startswith("lost") else 60]:
            await producer.send_and_wait(topic, record.value, key=record.key)
    if case == "removed":
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=41)})
    incarnation = "another" if case == "made again" else await incarnation_of(topic)
    path = PartitionPath(topic, incarnation, 0)
    await store_segments(path, RECORDS, 20)
    async with open_store(address) as store:
        last = await last_manifest(store, path)
        assert last is not None
        await store.put(last.key, [b"{"])

        async def set_aside(*more: str) -> tuple[int, str]:
            done = await asyncio.to_thread(CliRunner().invoke, app, ["archive", "set-aside", last.key, *more])
            return done.exit_code, (done.output + str(done.exception or "")).replace("\n", " ")

        assert (await set_aside("--dry-run"))[0] == 0
        code, said = await set_aside()
        if case == "there":
            assert code == 0, said
            return
        assert code == 1
        assert "its records are in the archive alone" in said
        assert "--though-lost" in said
        assert await store.get(last.key) == b"{", "nothing was done"
        assert (await set_aside("--though-lost"))[0] == 0
