"""Zipkin, when a mesh is to keep traces: its server with the spans in memory, behind a receiver of OTLP.

Zipkin's server is in Maven Central, its module for OTLP is not. So `otlp_to_zipkin` takes what services send, starts
the server and hands the spans on to it. 130 MB are fetched once, and it takes some 300 MB of memory: not for every
mesh.
"""

import asyncio
import os
import sys
from pathlib import Path

from atlas_local.home import Home
from atlas_local.jars import Jar, cache_directory, ensure_one
from atlas_local.java import find_java
from atlas_local.ports import Ports
from atlas_local.supervising.processes import Command
from atlas_local.supervising.services import ask

VERSION = "3.5.1"
SERVER = Jar(
    "io.zipkin",
    "zipkin-server",
    VERSION,
    "7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d",
    classifier="exec",
)
_HEAP = "192m"
_SPANS_MAX = 100_000


class Zipkin:
    """The newest spans of a mesh, to be looked at in a browser; a restart forgets them."""

    name = "zipkin"
    ready_s = 120.0  # the first start fetches it
    port_names = ("zipkin", "otlp")

    def __init__(self, home: Home, ports: Ports) -> None:
        self._data, self._ports = home.data("zipkin"), ports
        self._jar = Path()

    @staticmethod
    def wanted(setting: str) -> bool:
        """Whether a setting asks for it."""
        return setting.strip().lower() in ("1", "true", "yes", "on")

    @property
    def url(self) -> str:
        """Where a browser looks at traces."""
        return f"http://127.0.0.1:{self._ports.get('zipkin')}"

    @property
    def endpoint(self) -> str:
        """Where services send spans, as OTLP over HTTP."""
        return f"http://127.0.0.1:{self._ports.get('otlp')}"

    async def prepare(self) -> None:
        """Fetch the jar. Raises JarsMissing."""
        self._data.mkdir(parents=True, exist_ok=True)
        self._jar = await asyncio.to_thread(ensure_one, SERVER, cache_directory(f"zipkin-{VERSION}"))

    def command(self) -> Command:
        """The receiver, which starts the server and ends with it."""
        ports = {name: str(self._ports.get(name)) for name in self.port_names}
        listens = (f"--armeria.ports[0].port={ports['zipkin']}", "--armeria.ports[0].protocols[0]=http")
        java = (find_java(), f"-Xmx{_HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(self._jar))
        argv = [sys.executable, "-m", "atlas_local.servers.otlp_to_zipkin", ports["otlp"], self.url]
        argv += [*java, "--armeria.ports[0].ip=127.0.0.1", *listens]
        # Its own traces are of no use here, and it would look for other stores by settings of these names.
        env = {**os.environ, "STORAGE_TYPE": "mem", "MEM_MAX_SPANS": str(_SPANS_MAX), "SELF_TRACING_ENABLED": "false"}
        return Command(argv=argv, env=env, cwd=self._data, stop_s=5.0)

    async def ping(self) -> None:
        """Zipkin's own health, and that of the receiver."""
        await ask(f"{self.url}/health")
        await ask(f"{self.endpoint}/")
