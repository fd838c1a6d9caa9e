"""Stand-ins for servers and services: tiny processes whose readiness is a file."""

import contextlib
import errno
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from atlas_local.home import Home
from atlas_local.supervising.component import NotReady, NotWell
from atlas_local.supervising.processes import Command
from atlas_local.topology import Part

READY_THEN_SLEEP = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"


@dataclass
class Standin:
    """A component that is ready once its process has made the file; `code` may be changed between starts."""

    name: str
    directory: Path
    code: str = READY_THEN_SLEEP
    ready_s: float = 5.0
    port_names: tuple[str, ...] = ()
    url: str = "http://127.0.0.1:1"
    prepared: int = 0
    unwell: bool = False
    order: list[str] = field(default_factory=list)

    @property
    def flag(self) -> Path:
        return self.directory / f"{self.name}.ready"

    async def prepare(self) -> None:
        self.prepared += 1
        self.flag.unlink(missing_ok=True)

    async def out_of_space(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def command(self) -> Command:
        self.order.append(self.name)
        return Command(argv=[sys.executable, "-S", "-c", self.code, str(self.flag)], stop_signal=signal.SIGTERM)

    async def ping(self) -> None:
        if self.unwell:
            raise NotWell("one of its parts is refused")
        if not self.flag.exists():
            raise NotReady("no file yet")


class StandinMesh:
    """What a supervisor needs of a mesh."""

    def __init__(self, home: Home) -> None:
        home.make()
        self.home = home
        self.components: dict[str, Standin] = {}
        self.steps: dict[str, object] = {}
        self.outside: dict[str, str] = {}
        self.order: list[str] = []

    def add(self, name: str, **options) -> Standin:
        self.components[name] = Standin(name, self.home.path, order=self.order, **options)
        return self.components[name]

    def replace_taken_ports(self, names: list[str]) -> list[str]:
        return []

    def write_env(self) -> None:
        self.home.write_env({"ATLAS_TEST": "1"})

    def address(self, part: Part) -> str:
        return self.components[part.name].url if part.name in self.components else ""


@pytest.fixture
def standins(tmp_path) -> StandinMesh:
    return StandinMesh(Home(tmp_path / "home"))


@pytest.fixture
def background():
    """Run a coroutine until the end of the test: `async with background(coroutine, stop)`."""
    import asyncio

    @contextlib.asynccontextmanager
    async def run(coroutine, stop: asyncio.Event):
        task = asyncio.create_task(coroutine)
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    return run
