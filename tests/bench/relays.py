"""A relay as a process of its own: started with settings, asked for its metrics, stopped, paused or killed."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_local.ports import free_port
from atlas_local.serverset import ServerSet
from atlas_local.supervising.processes import Command, Process
from atlas_local.testing import database_url, migrate
from atlas_local.waiting import wait_until

from tests.contexts import SCHEMAS


class RelayProcess:
    """`python -m atlas_relay` on a database; its settings are ATLAS_RELAY_… by their lower-case names."""

    def __init__(self, brokers: str, dsn: str, log: Path, **relay: object) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.instance = f"relay-{uuid.uuid4().hex[:6]}"
        self._log = log
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ATLAS_")},
            "ATLAS_INSTANCE": self.instance,
            "ATLAS_HTTP_PORT": self.url.rpartition(":")[2],
            "ATLAS_KAFKA_BROKERS": brokers,
            "ATLAS_POSTGRES_DSN": dsn,
            "ATLAS_SCHEMAS_DIR": str(SCHEMAS),
            **{f"ATLAS_RELAY_{name.upper()}": str(value) for name, value in relay.items()},
        }
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.exit_code if self._process is not None else 0

    def spawn(self) -> None:
        """Start it and do not wait."""
        command = Command([sys.executable, "-m", "atlas_relay"], env=self._environment)
        self._process = Process.spawn(command, self._log)

    async def until_ready(self, seconds: float = 30) -> None:
        """Wait until it relays every group that is its share."""
        await wait_until(f"the relay to be ready; its log is {self._log}", self._is_ready, seconds)

    async def ended(self, seconds: float) -> int:
        """SIGTERM; the exit code, or TimeoutError when it has not ended within `seconds`."""
        assert self._process is not None
        self._process.send(signal.SIGTERM)
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None:
            await self._process.stop()

    def kill(self) -> None:
        """kill -9; nothing when it does not run."""
        if self._process is not None:
            self._process.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def reasons(self) -> dict[str, str]:
        """Why it says that it is not ready; empty when it is."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/health/ready") as response:
            return dict((await response.json())["reasons"])

    async def metric(self, name: str) -> float:
        """The value of a series without labels."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as response:
            for line in (await response.text()).splitlines():
                if line.startswith(f"{name} "):
                    return float(line.rpartition(" ")[2])
        raise AssertionError(f"the relay shows no {name}")

    async def _is_ready(self) -> bool:
        if self.exit_code is not None:
            raise AssertionError(f"the relay ended with {self.exit_code}; its log is {self._log}")
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/health/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running(relay: RelayProcess) -> AsyncIterator[RelayProcess]:
    """The relay, ready, within the block; stopped in an orderly way at its end."""
    relay.spawn()
    try:
        await relay.until_ready()
        yield relay
        await relay.stop()
    finally:
        relay.kill()


async def new_outbox(servers: ServerSet) -> str:
    """The DSN of a new, migrated database; the topic of heartbeats, which each relay sends, is made too."""
    name = f"outbox_{uuid.uuid4().hex[:8]}"
    connection = await asyncpg.connect(servers.servers.postgres_dsn)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()
    dsn = database_url(servers.servers.postgres_dsn, name)
    await asyncio.to_thread(migrate, dsn)
    await new_topic(servers, "health.heartbeats", partitions=1)
    return dsn


async def new_topic(servers: ServerSet, name: str, *, partitions: int = 4) -> str:
    """Make a topic when it is missing; its name."""
    await ensure_topics(servers.servers.kafka_brokers, [TopicSpec(name, partitions)])
    return name
