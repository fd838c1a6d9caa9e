"""docs/runbooks/a-partition-is-not-archived.md, tried as written, on an archive with a manifest that was cut off."""

import asyncio
import re
import shlex

import pytest
from atlas_archive.manifests import PartitionPath, last_manifest
from atlas_archive.records import Record
from atlas_archive.store import S3Address, open_store
from atlas_cli.main import app
from atlas_local.home import ROOT
from typer.testing import CliRunner

pytestmark = pytest.mark.integration
RUNBOOK = ROOT / "docs" / "runbooks" / "a-partition-is-not-archived.md"
TOPIC = "flights.events"
RECORDS = [Record(i, 1_357_030_800_000 + i, b"k", (), b"value %d" % i) for i in range(60)]


async def test_the_runbook(address: S3Address, command_settings: None, store_segments: object) -> None:
    path = PartitionPath(TOPIC, "id-1", 2)
    await store_segments(path, RECORDS, 20)  # type: ignore[operator]
    text = await asyncio.to_thread(RUNBOOK.read_text)
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
        code, said = await atlas(commands[2])
        assert (code, "does not read as a manifest" in said.replace("\n", "")) == (0, True)
        code, said = await atlas(commands[2])
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
