"""The examples as a reader has them: copied somewhere, run as programs, with the wheels alone that the README names."""

import asyncio
import os
import re
import shutil
import sys
import sysconfig
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.headers import cloud_event_headers
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.producing.producer import Delivery, Outgoing, open_producer, send_all
from atlas_local.home import ROOT
from atlas_local.steps import make_topics
from atlas_local.supervising.processes import Command, Process, last_lines
from atlas_local.testing import Servers
from hatchling.builders.wheel import WheelBuilder

EXAMPLES = ROOT / "examples"
SCHEMAS = EXAMPLES / "schemas"
TOPIC = "shop.orders"
EVENT = "shop.ItemAdded"
_WHEELS = re.compile(r"dist/atlas_\{([a-z_,]+)\}-\*\.whl")


@dataclass
class Example:
    """A copy of an example's folder, and where its wheels are unpacked."""

    folder: Path
    wheels: list[Path]

    def command(self, *arguments: str, **env: str) -> Command:
        """`python ARGUMENTS` in the folder: what the tests' own environment has of others, and the wheels."""
        found = [*map(str, self.wheels), sysconfig.get_path("purelib")]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ATLAS_")}
        kept |= {name: os.environ[name] for name in ("ATLAS_CACHE",) if name in os.environ}
        # -S: no .pth file is read, so that none of our packages is found in the tree.
        return Command(
            [sys.executable, "-S", *arguments],
            env={**kept, "PYTHONPATH": os.pathsep.join(found), **env},
            cwd=self.folder,
        )

    @asynccontextmanager
    async def running(self, *arguments: str, ends_with: int = 0, **env: str) -> AsyncIterator[Process]:
        """The program within the block; it is stopped at its end, and has to end with this code."""
        process = Process.spawn(self.command(*arguments, **env), self.log)
        try:
            yield process
            assert await process.stop() == ends_with, self.said()
        finally:
            process.kill()

    async def run(self, *arguments: str, deadline_s: float = 60, **env: str) -> str:
        """What the program has printed, once it has ended, well."""
        process = Process.spawn(self.command(*arguments, **env), self.log)
        try:
            async with asyncio.timeout(deadline_s):
                assert await process.wait() == 0, self.said()
            return self.log.read_text()
        finally:
            process.kill()

    @property
    def log(self) -> Path:
        """Where all that it prints goes."""
        return self.folder.parent / "log"

    def said(self) -> str:
        """The end of what it has printed."""
        return "\n".join(last_lines(self.log, 30))


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every wheel that `make dist` builds, unpacked in a folder of its name."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (*ROOT.glob("libs/*/pyproject.toml"), ROOT / "infra" / "local" / "pyproject.toml"):
        built = WheelBuilder(str(project.parent)).build(directory=str(folder), versions=["standard"])
        wheel = Path(next(built))
        with zipfile.ZipFile(wheel) as files:
            files.extractall(folder / wheel.name.partition("-")[0])
    return folder


@pytest.fixture
def example(unpacked: Path, tmp_path: Path) -> Callable[[str], Example]:
    """`example(name)`: a copy of that folder of examples, with the schemas beside it."""

    def copy(name: str) -> Example:
        (named,) = _WHEELS.findall((EXAMPLES / name / "README.md").read_text())
        shutil.copytree(SCHEMAS, tmp_path / "copied" / "schemas")
        folder = shutil.copytree(EXAMPLES / name, tmp_path / "copied" / name)
        return Example(folder, [unpacked / f"atlas_{lib}" for lib in named.split(",")])

    return copy


@pytest.fixture(scope="session")
def topic(servers: Servers) -> Iterator[str]:
    """The topic of the examples; its records are those of all their tests, so name orders freshly."""
    asyncio.run(make_topics(servers.kafka_brokers, SCHEMAS))
    yield TOPIC

    async def remove() -> None:
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([TOPIC, f"{TOPIC}.dlq"])

    asyncio.run(remove())


@pytest.fixture(scope="session")
def codec() -> Codec:
    """Of the examples' schemas."""
    return Codec(Registry.load(SCHEMAS))


@pytest.fixture
def add_items(servers: Servers, topic: str, codec: Codec) -> Callable[..., object]:
    """`await add_items(order_id, cents, …)`: an event for each, as the service of the first example would have it."""

    async def add(order_id: str, *cents: int, first: int = 1) -> None:
        outgoing = []
        for number, price in enumerate(cents, first):
            value = {"order_id": order_id, "item": f"item {number}", "cents": price, "added_at": 1_714_521_600_000}
            headers = cloud_event_headers(event_type=EVENT, source="/shop", subject=order_id, sequence=number)
            outgoing.append(Outgoing(topic, order_id.encode(), codec.encode(EVENT, value), headers))
        async with open_producer(servers.kafka_brokers, "examples") as producer:
            results = await send_all(producer, outgoing)
        assert all(isinstance(result, Delivery) for result in results), results

    return add
