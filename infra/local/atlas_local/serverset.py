"""The four servers by themselves, under the hand of their owner: what tests start, stop and kill."""

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from atlas_local.home import Home
from atlas_local.ports import Ports
from atlas_local.servers.kafka import Kafka
from atlas_local.servers.postgres import Postgres
from atlas_local.servers.s3 import REGION, S3
from atlas_local.servers.valkey import Valkey
from atlas_local.supervising.component import Runner
from atlas_local.supervising.processes import Identity, reap


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of running servers; `postgres_dsn` is an administrator's, of the database `postgres`."""

    kafka_brokers: str
    postgres_dsn: str
    redis_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    s3_region: str = REGION

    @classmethod
    def of_env(cls, env: Mapping[str, str], prefix: str) -> "Servers":
        """Those that variables of these names and this prefix address."""
        return cls(
            **{each.name: env[f"{prefix}{each.name.upper()}"] for each in fields(cls) if each.name != "s3_region"}
        )


class ServerSet:
    """Servers with data of their own. Each is a Runner: `await set.kafka.stop()`, `.start()`, `.kill()`.

    Clients of `kafka_behind_proxy` are told to connect to `kafka_proxy`, where a test may put a proxy to the former.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        home.make()
        ports = Ports(home.path / "ports.json")
        keys = {name: home.secret(name) for name in ("POSTGRES", "S3_ACCESS", "S3_SECRET")}
        home.write_env(keys)
        self.kafka_proxy = ports.get("kafka-proxy")
        kafka = Kafka(home, ports, proxy_port=self.kafka_proxy)
        self.kafka_behind_proxy = kafka.behind_proxy
        postgres = Postgres(home, ports, keys["POSTGRES"])
        valkey = Valkey(home, ports)
        s3 = S3(home, ports, keys["S3_ACCESS"], keys["S3_SECRET"])
        self.kafka, self.postgres, self.valkey, self.s3 = (
            Runner(component, home.log(component.name)) for component in (kafka, postgres, valkey, s3)
        )
        self.servers = Servers(kafka.brokers, postgres.dsn, valkey.url, s3.url, s3.access_key, s3.secret_key)

    @property
    def all(self) -> tuple[Runner, ...]:
        """Every server."""
        return (self.kafka, self.postgres, self.valkey, self.s3)

    async def start(self) -> None:
        """Start those that do not run, all at once; raises StartFailed, and stops what it started, if one fails."""
        try:
            async with asyncio.TaskGroup() as group:
                for runner in self.all:
                    group.create_task(runner.start())
        except BaseExceptionGroup as errors:
            self.kill()
            raise errors.exceptions[0] from None
        self._record()

    async def stop(self) -> None:
        """Stop all at once, in an orderly way."""
        await asyncio.gather(*(runner.stop() for runner in self.all))

    def kill(self) -> None:
        """kill -9 to all."""
        for runner in self.all:
            runner.kill()

    def _record(self) -> None:
        """Write down what runs, for `sweep` in a later session."""
        running = [runner.process.identity for runner in self.all if runner.process is not None]
        owner = Identity.of(os.getpid())
        assert owner is not None
        self.home.write_state(
            {"owner": [owner.pid, owner.started], "children": [[child.pid, child.started] for child in running]}
        )


def _homes(directory: Path) -> list[Home]:
    return [Home(path) for path in directory.glob("*")]


async def sweep(directory: Path) -> int:
    """Remove the sets below `directory` whose owner is gone, with what still runs of them; give how many."""
    swept = 0
    for home in _homes(directory):
        state = home.read_state()
        if "owner" not in state or Identity(*state["owner"]).alive:
            continue
        await reap([Identity(*child) for child in state.get("children", ())], signal.SIGKILL, 5)
        home.remove()
        swept += 1
    return swept
