"""docs/runbooks/outbox-is-growing.md, tried as written: each step while there is what it is for."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_local.home import ROOT
from atlas_local.testing import TestMesh, requires
from atlas_local.waiting import wait_until
from atlas_outbox.writer import OutboxRecord, append_many

from tests.e2e.runbook import steps

pytestmark = pytest.mark.e2e

RUNBOOK = ROOT / "docs/runbooks/outbox-is-growing.md"


class Shell:
    """What `make shell` gives: the programs of the virtual environment and the addresses of the mesh."""

    def __init__(self, mesh: TestMesh) -> None:
        ours = {**mesh.env, "ATLAS_HOME": str(mesh.home.path), "COLUMNS": "200"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._env = {**os.environ, **ours, "PATH": path}

    async def run(self, text: str, answer: str = "", **named: object) -> str:
        """What the commands print, with the names in capitals replaced; fails with that when one of them fails."""
        for name, value in named.items():
            assert name in text
            text = text.replace(name, str(value))
        shell = await self.start(text)
        out, err = await shell.communicate(answer.encode())
        assert shell.returncode == 0, f"{text}: exit code {shell.returncode}\n{out.decode()}{err.decode()}"
        return out.decode()

    async def start(self, text: str) -> asyncio.subprocess.Process:
        """The commands, under way."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            "sh", "-euc", text, env=self._env, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def status(self) -> dict[str, Any]:
        """`atlas outbox status --json`."""
        found: dict[str, Any] = json.loads(await self.run("atlas outbox status --json"))
        return found


@pytest.fixture
async def outbox(mesh: TestMesh) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(mesh.dsn)
    yield connection
    await connection.close()


async def commit(outbox: "asyncpg.Connection[Any]", topic: str, *values: bytes) -> list[int]:
    """Rows of one key; their ids."""
    async with outbox.transaction():
        return [row.row_id for row in await append_many(outbox, [OutboxRecord(topic, b"k", v) for v in values])]


async def test_it_works_as_written(mesh: TestMesh, outbox: "asyncpg.Connection[Any]") -> None:
    requires("curl")
    blocks = [step for step in steps(RUNBOOK) if step.language == "sh"]
    assert [step.about for step in blocks].index("second-relay") == 2
    look, no_relay, second, parked, retry, discard, find, end, done = [step.text for step in blocks]
    shell, topic = Shell(mesh), f"runbook.{uuid.uuid4().hex[:8]}"

    assert "backlog" in await shell.run(look)

    await mesh.stop("relay")
    await commit(outbox, topic, b"1", b"2", b"x" * 1_100_000, b"3")
    looked = await shell.run(f"{{ {look.strip()}; }} 2>&1")
    assert "the relay does not answer: its database is asked" in looked
    assert "backlog" in looked
    said = await shell.run(no_relay)
    assert "relay: ready" in said
    assert json.loads(said[said.index("{") :])["service"] == "relay"

    await _second_relay(shell, second)
    await _parked_rows(shell, outbox, topic, (parked, retry, discard))
    await _snapshot(mesh, shell, outbox, (find, end))

    assert "backlog" in await shell.run(done)
    status = await shell.status()
    assert (status["backlog_rows"], status["parked_rows"], status["oldest_row_s"] < 1) == (0, 0, True)
    async with open_admin(mesh.servers.kafka_brokers) as admin:
        await admin.delete_topics([topic])


async def _second_relay(shell: Shell, command: str) -> None:
    relay = await shell.start(command)
    try:

        async def halves() -> bool:
            owners = [group["owner"] for group in (await shell.status())["groups"]]
            return sorted(owners.count(owner) for owner in set(owners)) == [4, 4]

        await wait_until("the second relay to have half of the groups", halves)
    finally:
        relay.terminate()
        await relay.communicate()


async def _parked_rows(
    shell: Shell, outbox: "asyncpg.Connection[Any]", topic: str, commands: tuple[str, str, str]
) -> None:
    """Four rows of a topic that is not there; then the third is too large for it."""
    parked, retry, discard = commands

    async def parked_rows(count: int) -> None:
        counted = "SELECT count(*) FROM outbox.parked WHERE topic = $1"

        async def are_there() -> bool:
            there: int = await outbox.fetchval(counted, topic)
            return there == count

        await wait_until(f"{count} parked rows", are_there)

    await parked_rows(4)
    assert f"unknown topic '{topic}'" in await shell.run(parked)
    await ensure_topics(await shell.run('printf %s "$ATLAS_KAFKA_BROKERS"'), [TopicSpec(topic, 1)])
    assert "4 rows" in await shell.run(retry, TOPIC=topic)
    await parked_rows(2)
    assert "the limit is" in await shell.run(parked)
    too_large = await outbox.fetchval("SELECT min(id) FROM outbox.parked WHERE topic = $1", topic)
    assert "1 rows are deleted" in await shell.run(discard, answer="y\n", ID=too_large)
    await parked_rows(0)


async def _snapshot(mesh: TestMesh, shell: Shell, outbox: "asyncpg.Connection[Any]", commands: tuple[str, str]) -> None:
    """Somebody who looked at the table an hour ago and has not let go."""
    find, end = commands
    holder = await asyncpg.connect(mesh.servers.postgres_dsn, server_settings={"application_name": "somebody"})
    await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    pid = holder.get_server_pid()
    found = await shell.run(find)
    assert any("somebody" in line and str(pid) in line for line in found.splitlines()), found
    await shell.run(end, PID=pid)
    ended = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"
    await wait_until("its session to be ended", lambda: outbox.fetchval(ended, pid))
    holder.terminate()
