"""`atlas up` and `atlas down` as a user runs them, with the two servers that start fastest."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from atlas_local.client import status, take_down
from atlas_local.home import Home
from atlas_local.supervising.processes import Command, Identity, Process
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration
ONLY = ("--only", "valkey", "--only", "postgres")


class Cli:
    """The atlas command with a home of its own."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ATLAS_")}
        self.env = {**clean, "ATLAS_HOME": str(directory)}

    async def run(self, *arguments: str, code: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "atlas_cli.main", *arguments),
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(90):
            output, _ = await process.communicate()
        text = output.decode()
        assert process.returncode == code, text
        return text

    async def status(self) -> dict:
        return await status(self.home)

    async def status_stopping(self) -> bool:
        status = await self.status()
        return status["stopping"] or not status["running"]

    async def part(self, name: str) -> dict:
        return next(part for part in (await self.status())["parts"] if part["name"] == name)

    @property
    def supervisor(self) -> int:
        """The process id of the supervisor."""
        pid = self.home.holder()
        assert pid is not None
        return pid

    def processes(self) -> list[Identity]:
        """The supervisor and everything below it."""
        pids = [self.supervisor, *(child.pid for child in psutil.Process(self.supervisor).children(recursive=True))]
        return [identity for pid in pids if (identity := Identity.of(pid))]


@pytest.fixture
async def cli(tmp_path):
    cli = Cli(tmp_path / "home")
    yield cli
    await take_down(cli.home)
    cli.home.remove()


async def test_up_returns_when_ready_and_down_leaves_no_process(cli):
    text = await cli.run("up", *ONLY)
    assert "ready in" in text
    assert "postgresql://127.0.0.1:" in text
    processes = cli.processes()
    assert len(processes) > 3  # supervisor, valkey, postgres and its children
    assert (await cli.part("postgres"))["state"] == "ready"

    assert "the mesh is down" in await cli.run("down")
    left = [identity for identity in processes if identity.alive]
    assert left == []
    assert "no mesh was running" in await cli.run("down", "--purge", "--yes")
    assert list(cli.home.path.parent.iterdir()) == []
    assert (await cli.status())["running"] is False


async def test_no_secret_is_in_a_log_or_an_argument(cli):
    await cli.run("up", *ONLY)
    secrets = [value for key, value in cli.home.read_env().items() if "PASSWORD" in key or "SECRET" in key]
    assert secrets
    logs = "".join(path.read_text(errors="replace") for path in (cli.home.path / "logs").iterdir())
    arguments = " ".join(" ".join(psutil.Process(identity.pid).cmdline()) for identity in cli.processes())
    shown = await cli.run("status")
    for secret in secrets:
        assert secret not in logs
        assert secret not in arguments
        assert secret not in shown


async def test_a_second_up_finds_the_first_and_completes_it(cli):
    await cli.run("up", "--only", "valkey")
    first = cli.supervisor
    valkey = (await cli.part("valkey"))["pid"]
    assert (await cli.part("postgres"))["state"] == "off"

    text = await cli.run("up", *ONLY)
    assert f"the mesh runs already, supervised by process {first}" in text
    assert (await cli.part("valkey"))["pid"] == valkey
    assert (await cli.part("postgres"))["state"] == "ready"


async def test_two_ups_at_once_make_one_mesh(cli):
    async def up(*only: str, answers: str) -> None:
        await cli.run("up", *only)
        # Ready means that it answers now, whoever started it.
        assert (await cli.part(answers))["state"] == "ready"

    await asyncio.gather(
        *(up("--only", "valkey", answers="valkey") for _ in range(2)),
        *(up("--only", "postgres", answers="postgres") for _ in range(2)),
    )
    state = await cli.status()
    assert state["running"]
    assert Identity(state["supervisor"]["pid"], state["supervisor"]["started"]).alive


async def test_ports_and_secrets_are_remembered(cli):
    await cli.run("up", *ONLY)
    first = cli.home.read_env()
    await cli.run("down")
    await cli.run("up", *ONLY)
    assert cli.home.read_env() == first


async def test_a_port_taken_meanwhile_is_replaced(cli):
    await cli.run("up", "--only", "valkey")
    before = (await cli.part("valkey"))["url"]
    await cli.run("down")
    taken = int(before.split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", taken)):
        await cli.run("up", "--only", "valkey")
        after = (await cli.part("valkey"))["url"]
    assert after != before
    assert cli.home.read_env()["ATLAS_REDIS_URL"] == after


async def test_a_crash_is_followed_by_a_restart_that_status_shows(cli):
    await cli.run("up", "--only", "valkey")
    os.kill((await cli.part("valkey"))["pid"], signal.SIGKILL)

    async def is_back() -> bool:
        part = await cli.part("valkey")
        return part["restarts"] == 1 and part["state"] == "ready"

    await wait_until("valkey is back", is_back, 20)
    part = await cli.part("valkey")
    assert (part["name"], part["restarts"], part["last_exit"]) == ("valkey", 1, -9)
    assert "valkey" in await cli.run("status")


async def test_a_killed_supervisor_takes_its_children_along_and_up_begins_anew(cli):
    await cli.run("up", *ONLY)
    before = cli.processes()
    os.kill(cli.supervisor, signal.SIGKILL)
    await cli.run("up", *ONLY)
    assert [identity for identity in before if identity.alive] == []
    assert (await cli.part("postgres"))["state"] == "ready"


async def test_up_ends_what_a_killed_supervisor_left_and_nothing_written_down_misleads_it(cli, tmp_path):
    await cli.run("up", *ONLY)
    before = cli.processes()
    os.kill((await cli.part("valkey"))["pid"], signal.SIGSTOP)  # does not take the signal at its parent's death
    bystander = Process.spawn(Command(argv=["sleep", "60"]), tmp_path / "logs" / "valkey.log")
    os.kill(cli.supervisor, signal.SIGKILL)
    for file in (cli.home.state_file, cli.home.lock_file, cli.home.path / "ports.json"):
        file.write_text(f'{{"parts": [{{"pid": {bystander.pid}')
    assert "ready in" in await cli.run("up", *ONLY)
    assert [identity for identity in before if identity.alive] == []
    assert bystander.identity.alive
    for name in ("valkey", "postgres"):
        assert (await cli.part(name))["state"] == "ready"
    await bystander.stop()


async def test_a_supervisor_that_hangs_is_named_and_down_ends_it(cli, monkeypatch):
    await cli.run("up", "--only", "valkey")
    before, pid = cli.processes(), cli.supervisor
    os.kill(pid, signal.SIGSTOP)
    for text in await asyncio.gather(*(cli.run(command, code=1) for command in ("status", "up"))):
        assert text.startswith(f"atlas: the supervisor of {cli.home.path}, process {pid}, does not answer for 10 s;")
        assert text.count("\n") == 1
    assert "the mesh is down" in await cli.run("down")
    assert [identity for identity in before if identity.alive] == []


async def test_up_waits_for_a_mesh_that_is_going_down(cli):
    await cli.run("up", *ONLY)
    before = cli.processes()
    down = asyncio.create_task(cli.run("down"))
    await wait_until("it is going down", cli.status_stopping, 10)
    assert "ready in" in await cli.run("up", "--only", "valkey")
    assert "the mesh is down" in await down
    assert not any(identity.alive for identity in before)
    assert (await cli.part("valkey"))["state"] == "ready"


async def test_a_service_that_failed_and_was_mended_is_started_again_or_the_reason_is_given(cli):
    cli.home.make()
    cli.home.data("valkey").mkdir()
    broken = cli.home.data("valkey") / "dump.rdb"
    broken.write_bytes(b"not a snapshot")
    for _ in range(2):
        text = await cli.run("up", "--only", "valkey", code=1)
        assert "valkey ended with exit code 1" in text
    broken.unlink()
    assert "ready in" in await cli.run("up", "--only", "valkey")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"parts": 5}', '{"parts": [{}]}', "\x00\xff", "[" * 100_000])
async def test_no_file_of_a_mesh_that_is_broken_ends_in_more_than_a_line(cli, content):
    cli.home.make()
    for file in (cli.home.state_file, cli.home.lock_file, cli.home.path / "ports.json", cli.home.env_file):
        file.write_text(content)
    cli.home.socket.write_text(content)  # a file where the socket would be
    assert await cli.run("status", code=1) == "no mesh runs here; start one: atlas up\n"
    assert "no mesh was running" in await cli.run("down")


async def test_down_cleans_up_after_a_killed_supervisor(cli):
    await cli.run("up", *ONLY)
    before = cli.processes()
    # Stopped, a child can't take the signal that it gets when its parent dies: it has to be found and killed.
    valkey = (await cli.part("valkey"))["pid"]
    os.kill(valkey, signal.SIGSTOP)
    os.kill(cli.supervisor, signal.SIGKILL)
    await wait_until("the supervisor is gone", lambda: not before[0].alive, 5)
    status = await cli.status()
    assert "left behind" in [part["state"] for part in status["parts"]]
    assert "the mesh is down" in await cli.run("down")
    assert [identity for identity in before if identity.alive] == []


async def test_stop_start_restart_and_logs_of_one_part(cli):
    await cli.run("up", *ONLY)
    assert "valkey: stopped" in await cli.run("stop", "valkey")
    assert (await cli.part("valkey"))["pid"] is None
    assert (await cli.part("postgres"))["state"] == "ready"
    assert "valkey: ready" in await cli.run("start", "valkey")
    first = (await cli.part("valkey"))["pid"]
    assert "valkey: ready" in await cli.run("restart", "valkey")
    assert (await cli.part("valkey"))["pid"] != first
    assert "Ready to accept connections" in await cli.run("logs", "valkey", "-n", "50")
    assert "no part of the mesh is named valley" in await cli.run("stop", "valley", code=1)
    assert "no part of the mesh is named valley" in await cli.run("up", "--only", "valley", code=1)


async def test_a_server_that_cannot_start_is_named_with_its_last_words(cli):
    cli.home.make()
    cli.home.data("valkey").mkdir()
    (cli.home.data("valkey") / "dump.rdb").write_bytes(b"not a snapshot")
    text = await cli.run("up", "--only", "valkey", code=1)
    assert "valkey ended with exit code 1" in text
    assert "Wrong signature" in text
    parts = {part["name"]: part for part in (await cli.status())["parts"]}
    assert parts["valkey"]["failures"] >= 1
    assert "valkey ended with exit code 1" in parts["valkey"]["trouble"]


async def test_in_the_foreground_ctrl_c_stops_everything(cli):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_cli.main", "up", "--foreground", *ONLY),
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )

    async def ready() -> bool:
        return sum(part["state"] == "ready" for part in (await cli.status())["parts"]) == 2

    await wait_until("postgres and valkey are ready", ready, 30)
    before = cli.processes()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await process.communicate()
    assert process.returncode == 0
    assert [identity for identity in before if identity.alive] == []


async def test_env_prints_what_a_shell_takes(cli):
    assert "atlas up" in await cli.run("env", code=1)
    await cli.run("up", "--only", "valkey")
    text = await cli.run("env")
    assert f"export ATLAS_REDIS_URL={cli.home.read_env()['ATLAS_REDIS_URL']}\n" in text
    assert json.loads(await cli.run("env", "--json")) == cli.home.read_env()
