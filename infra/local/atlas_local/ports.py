"""Ports of one mesh: chosen once, remembered, replaced when something else has taken them."""

import json
import random
import socket
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

# Below the range from which the kernel takes the ports of outgoing connections. A client that keeps trying to reach a
# stopped server can otherwise be given the server's own port, and the server can't come back.
_LOWEST, _HIGHEST = 20_000, 32_000


class NoFreePort(Exception):
    """No port could be bound in many tries."""


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(taken: Iterable[int] = ()) -> int:
    """A port that is free now and not among `taken`."""
    avoid = set(taken)
    for _ in range(1000):
        port = random.randrange(_LOWEST, _HIGHEST)
        if port not in avoid and is_free(port):
            return port
    raise NoFreePort(f"no free port between {_LOWEST} and {_HIGHEST}")


class Ports:
    """Named ports, kept in a file. With `preferred` a port is that number when it is free at the first choice."""

    def __init__(self, path: Path, preferred: dict[str, int] | None = None) -> None:
        self._path = path
        self._preferred = preferred or {}
        self._ports = _read(path)

    def get(self, name: str) -> int:
        """The port of this name, chosen at the first call."""
        if name not in self._ports:
            preferred = self._preferred.get(name)
            taken = self._ports.values()
            usable = preferred is not None and preferred not in taken and is_free(preferred)
            self._keep(name, preferred if usable and preferred is not None else free_port(taken))
        return self._ports[name]

    def replace_taken(self, names: Iterable[str]) -> list[str]:
        """Choose anew those of these ports that something else listens on; give their names.

        To be called only while the owner of the names does not run.
        """
        replaced = [name for name in names if name in self._ports and not is_free(self._ports[name])]
        for name in replaced:
            self.replace(name)
        return replaced

    def replace(self, name: str) -> int:
        """Choose this port anew."""
        taken = self._ports.values()
        return self._keep(name, free_port(taken))

    def _keep(self, name: str, port: int) -> int:
        """Written down first: a port that could not be (a full disk) is not used, or two starts would differ."""
        ports = {**self._ports, name: port}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(ports, indent=1, sort_keys=True))
        temporary.replace(self._path)
        self._ports = ports
        return port


def _read(path: Path) -> dict[str, int]:
    """The ports that were written down; none when the file is gone or is no such file."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    whole = isinstance(found, dict) and all(type(port) is int and 0 < port < 65_536 for port in found.values())
    return found if whole else {}
