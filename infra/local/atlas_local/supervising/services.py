"""A service of the mesh as a child process."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from atlas_local.home import ROOT
from atlas_local.ports import Ports
from atlas_local.supervising.component import NotReady, NotWell
from atlas_local.supervising.processes import Command
from atlas_local.supervising.running_code import digest
from atlas_local.topology import Part

# A service drains for up to ten seconds by itself.
_STOP_S = 12.0
_SHOWN = 500


class Service:
    """`python -m <module>` with its settings in the environment; ready when /health/ready says so."""

    ready_s = 60.0

    def __init__(self, part: Part, ports: Ports, environment: Callable[[], Mapping[str, str]], cwd: Path) -> None:
        self.name = part.name
        self.port_names = (part.name,)
        self._module, self._ports, self._environment, self._cwd = part.module, ports, environment, cwd
        self._runs = ""

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://127.0.0.1:{self._ports.get(self.name)}"

    async def prepare(self) -> None:
        """Nothing: what it needs are parts of the mesh of their own."""

    def command(self) -> Command:
        """Read the addresses now: a server may have moved to another port since the last start."""
        self._runs = self._digest()
        env = {**self._environment(), "ATLAS_HTTP_PORT": str(self._ports.get(self.name))}
        return Command(argv=[sys.executable, "-m", self._module], env=env, cwd=self._cwd, stop_s=_STOP_S)

    @property
    def is_stale(self) -> bool:
        """Whether schemas or contexts that it runs have changed since it was last started."""
        return self._runs != self._digest()

    def _digest(self) -> str:
        return digest(self.name, ROOT, Path(self._environment().get("ATLAS_SCHEMAS_DIR", ROOT / "schemas")))

    async def ping(self) -> None:
        """Ask whether it is ready; NotReady carries its own reasons."""
        await ask(f"{self.url}/health/ready")


async def ask(url: str) -> None:
    """GET, and nothing but 200 will do; raises NotReady with the beginning of the answer, NotWell for a 503."""
    timeout = aiohttp.ClientTimeout(total=3)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            text = await response.text(errors="replace")
            if response.status != 200:
                if response.status == 503:
                    raise NotWell(f"{url} answers 503: {_reasons(text)}")
                raise NotReady(f"{url} answers {response.status}: {text.strip()[:_SHOWN]}")
    except aiohttp.ClientConnectionError as error:
        raise NotReady(f"{url}: {error}") from error


def _reasons(text: str) -> str:
    """What a probe gives as reasons, each with its name; the text itself where it is none of a service of the mesh."""
    try:
        reasons = json.loads(text)["reasons"]
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    except (ValueError, TypeError, LookupError, AttributeError):
        told = ""
    return " ".join((told or text).split())[:_SHOWN]
