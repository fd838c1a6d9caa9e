"""A full disk: what must stop stops and says so, nothing that was acknowledged is lost, and all comes back by itself.

On a small file system of the test's own, for which it has to be root.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from atlas_local.client import status, until_ready
from atlas_local.home import Home
from atlas_local.supervising.daemon import spawn_isolated
from atlas_local.supervising.processes import Process
from atlas_local.waiting import wait_until

pytestmark = pytest.mark.integration
NAMES = ("relay",)
SIZE_MB = 200
ROWS = "INSERT INTO public.kept SELECT repeat(md5(n::text), 60) FROM generate_series(1, 500) n"
TOPIC = "health.events.dlq"


@pytest.fixture
def small_disk() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    with tempfile.TemporaryDirectory(prefix="atlas-small-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL runs as another user
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=755", "tmpfs", directory],
            capture_output=True,
            check=False,
        )
        if mounted.returncode != 0:
            pytest.skip(f"can't mount a file system here: {mounted.stderr.decode()}")
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "-l", directory], check=True)


@pytest.fixture
def supervised(small_disk: Path) -> Iterator[tuple[Home, Process]]:
    home = Home(small_disk / "home")
    home.make()
    (home.path / ".env").touch()  # services read it there
    supervisor = spawn_isolated(home, NAMES)
    try:
        asyncio.run(until_ready(home, lambda _state: None, lambda: supervisor.exit_code is None, NAMES))
        yield home, supervisor
    finally:
        asyncio.run(supervisor.stop())


def fill(disk: Path, name: str = "filler") -> Path:
    """Take all the space that is left."""
    filler = disk / name
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1_000_000))
        except OSError:
            pass
        try:
            while True:
                file.write(bytes(100))
        except OSError:
            return filler


def run(home: Home, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "atlas_cli.main", *arguments],
        env={**os.environ, "ATLAS_HOME": str(home.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def insert_until_refused(dsn: str) -> int:
    """Rows that were committed, in transactions of 500, until one is refused."""
    rows = 0
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS public.kept (x text)")
            while True:
                await connection.execute(
                    "INSERT INTO public.kept SELECT repeat(md5(n::text), 60) FROM generate_series(1, 500) n"
                )
                rows += 500
        finally:
            connection.terminate()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return rows


async def send_until_refused(brokers: str) -> int:
    """Records that the broker has acknowledged until it does not any more."""
    sent = 0
    producer = AIOKafkaProducer(bootstrap_servers=brokers, request_timeout_ms=2000, acks="all")
    try:
        async with asyncio.timeout(15):
            await producer.start()
            while True:
                await producer.send_and_wait(TOPIC, os.urandom(200_000))
                sent += 1
    except (KafkaError, TimeoutError, OSError):
        return sent
    finally:
        for task in [asyncio.ensure_future(producer.stop())]:
            await asyncio.wait([task], timeout=3)
            task.cancel()


def test_all_comes_back_with_the_space_and_nothing_is_lost(supervised: tuple[Home, Process], small_disk: Path) -> None:
    home, supervisor = supervised
    env = home.read_env()
    # First PostgreSQL finds no space, then, with a little more, Kafka, then nobody.
    spare = [small_disk / name for name in ("first", "second")]
    for file in spare:
        file.write_bytes(bytes(10_000_000))
    filler = fill(small_disk)
    spare[0].unlink()
    rows = asyncio.run(insert_until_refused(env["ATLAS_POSTGRES_DSN"]))
    spare[1].unlink()
    sent = asyncio.run(send_until_refused(env["ATLAS_KAFKA_BROKERS"]))
    rest = fill(small_disk, "rest")
    assert rows > 0
    assert sent > 0

    async def kafka_ended() -> bool:
        [kafka] = [part for part in (await status(home))["parts"] if part["name"] == "kafka"]
        return kafka["restarts"] > 0

    asyncio.run(wait_until("Kafka notices", kafka_ended, 20))
    said = run(home, "status")
    assert said.returncode == 1
    assert "the disk is full" in said.stdout
    assert supervisor.exit_code is None

    filler.unlink()
    rest.unlink()

    # Nobody asks for anything: it comes back by itself.
    lacking: list[object] = []

    async def all_ready() -> bool:
        parts = [part for part in (await status(home))["parts"] if part["wanted"]]
        lacking[:] = [part for part in parts if part["state"] not in ("ready", "done")]
        return not lacking

    try:
        asyncio.run(wait_until("everything is ready again", all_ready, 120))
    except TimeoutError:
        pytest.fail(f"not back: {lacking}")
    assert supervisor.exit_code is None

    async def kept() -> tuple[int, int]:
        connection = await asyncpg.connect(env["ATLAS_POSTGRES_DSN"], timeout=5)
        try:
            found = int(await connection.fetchval("SELECT count(*) FROM public.kept"))
        finally:
            await connection.close()
        async with AIOKafkaConsumer(bootstrap_servers=env["ATLAS_KAFKA_BROKERS"]) as consumer:
            partition = TopicPartition(TOPIC, 0)
            return found, (await consumer.end_offsets([partition]))[partition]

    found, end = asyncio.run(kept())
    assert found in (rows, rows + 500)  # the last may have been committed and not answered
    assert end >= sent


def test_up_on_a_full_disk_is_one_line_and_works_with_space(small_disk: Path) -> None:
    home = Home(small_disk / "home")
    filler = fill(small_disk)
    refused = run(home, "up", "--only", "valkey")
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "is full" in line
    filler.unlink()
    try:
        assert run(home, "up", "--only", "valkey").returncode == 0
    finally:
        assert run(home, "down", "--purge", "--yes").returncode == 0
