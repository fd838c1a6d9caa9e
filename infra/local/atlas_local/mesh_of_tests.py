"""A whole mesh for tests, under its supervisor, with what breaks it and mends it."""

import asyncio
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atlas_local.client import until_ready
from atlas_local.home import ROOT, Home
from atlas_local.serverset import Servers, sweep
from atlas_local.supervising.control import request
from atlas_local.supervising.daemon import spawn_isolated

TEST_HOMES = ROOT / ".atlas" / "test"


class TestMesh:
    """A whole mesh of its own, under its supervisor: a process that is killed is restarted, as with `atlas up`."""

    __test__ = False

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def env(self) -> dict[str, str]:
        """Every address and secret as ATLAS_… settings."""
        return self.home.read_env()

    @property
    def servers(self) -> Servers:
        """The addresses of its servers."""
        env = self.env
        return Servers.of_env(env | {"ATLAS_POSTGRES_DSN": env["ATLAS_POSTGRES_ADMIN_DSN"]}, "ATLAS_")

    @property
    def dsn(self) -> str:
        """The database of the mesh, as its services see it."""
        return self.env["ATLAS_POSTGRES_DSN"]

    def url(self, service: str) -> str:
        """The HTTP address of a service: gateway, relay, projector, archiver, health."""
        return self.env[f"ATLAS_{service.removesuffix('-aggregator').upper()}_URL"]

    async def part(self, name: str) -> dict[str, Any]:
        """The state of one part: state, pid, restarts, last_exit, detail."""
        state = await request(self.home, "status")
        return next(part for part in state["parts"] if part["name"] == name)

    async def stop(self, name: str) -> None:
        """Stop a service or a server in an orderly way; it stays stopped."""
        await request(self.home, "stop", name=name)

    async def start(self, name: str) -> None:
        """Start a service or a server and wait until it is ready."""
        part = await request(self.home, "start", name=name)
        assert part["state"] == "ready", part["detail"]

    async def kill(self, name: str) -> int:
        """kill -9 a service or a server, which the supervisor then restarts; gives the number of restarts before."""
        return int((await request(self.home, "kill", name=name))["restarts"])

    async def until_restarted(self, name: str, restarts_before: int, deadline_s: float = 60.0) -> None:
        """Wait until a killed part is ready again."""
        deadline = time.monotonic() + deadline_s
        part = await self.part(name)
        while part["restarts"] <= restarts_before or part["state"] != "ready":
            assert time.monotonic() < deadline, f"{name} is not back after {deadline_s} s: {part}"
            await asyncio.sleep(0.1)
            part = await self.part(name)

    async def until_ready(self) -> None:
        """Start all that is stopped and wait until everything is ready; raises StartFailed."""
        await request(self.home, "want", names=[])
        await until_ready(self.home, lambda _state: None, lambda: False)


@contextmanager
def running_mesh(settings: Mapping[str, str] | None = None, schemas: Path | None = None) -> Iterator[TestMesh]:
    """A whole mesh on data and schemas of its own, with `settings`; gone afterwards. Not inside a running loop.

    `schemas`: the folder to copy, if not the checkout's.
    """
    asyncio.run(sweep(TEST_HOMES))
    home = Home(TEST_HOMES / f"mesh-{uuid.uuid4().hex[:8]}")
    home.make()
    lines = [f"{name}={value}\n" for name, value in (settings or {}).items()]
    (home.path / ".env").write_text("".join(lines))  # services read it there
    shutil.copytree(schemas or ROOT / "schemas", home.path / "schemas")
    supervisor = spawn_isolated(home, ())
    try:
        alive = lambda: supervisor.exit_code is None  # noqa: E731
        asyncio.run(until_ready(home, lambda _state: None, alive))
        yield TestMesh(home)
    finally:
        asyncio.run(supervisor.stop())
        home.remove()
