"""The supervisor's door: one JSON object a line over a Unix socket in the home, each answered by one."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from atlas_local.home import Home
from atlas_local.supervisor import Supervisor
from atlas_local.topology import UnknownPart

# The kernel allows 107 bytes for a socket's path.
_LONGEST_PATH = 100


class NotRunning(Exception):
    """No supervisor answers in this home."""


class Refused(Exception):
    """The supervisor would not do it; the message says why."""


@asynccontextmanager
async def serve(supervisor: Supervisor, stop: asyncio.Event) -> AsyncIterator[None]:
    """Take requests while the body runs; only the owner of the home can reach the socket."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                request = json.loads(line)
                try:
                    reply = {"ok": await REQUESTS[request["do"]](supervisor, stop, request)}
                except UnknownPart as error:
                    reply = {"error": str(error)}
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        writer.close()

    path = supervisor.home.socket
    path.unlink(missing_ok=True)
    with _short(path) as address:
        server = await asyncio.start_unix_server(answer, address)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def request(home: Home, do: str, timeout_s: float = 120.0, **arguments: Any) -> Any:
    """Ask the supervisor of this home; raises NotRunning or Refused, TimeoutError when no answer comes."""
    async with asyncio.timeout(timeout_s):
        try:
            with _short(home.socket) as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=1 << 20)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning(f"no mesh runs in {home.path}") from None
        try:
            writer.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            line = await reader.readline()
        except ConnectionError:
            line = b""
        finally:
            writer.close()
    if not line:
        raise NotRunning(f"the mesh in {home.path} stopped while it was asked")
    reply = json.loads(line)
    if "error" in reply:
        raise Refused(reply["error"])
    return reply["ok"]


@contextlib.contextmanager
def _short(path: Path) -> Any:
    """The same socket under a path that is short enough, by way of its directory's descriptor."""
    if len(str(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    try:
        descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        raise ConnectionRefusedError from None
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


Handler = Callable[[Supervisor, asyncio.Event, dict[str, Any]], Awaitable[Any]]


async def _status(supervisor: Supervisor, _stop: asyncio.Event, request: dict[str, Any]) -> Any:
    return await supervisor.probed_status() if request.get("probe") else supervisor.status()


async def _want(supervisor: Supervisor, _stop: asyncio.Event, request: dict[str, Any]) -> Any:
    supervisor.want(tuple(request["names"]))
    return supervisor.status()


async def _start(supervisor: Supervisor, _stop: asyncio.Event, request: dict[str, Any]) -> Any:
    return await supervisor.start(request["name"])


async def _stop_part(supervisor: Supervisor, _stop: asyncio.Event, request: dict[str, Any]) -> Any:
    return await supervisor.stop(request["name"])


async def _kill(supervisor: Supervisor, _stop: asyncio.Event, request: dict[str, Any]) -> Any:
    return supervisor.kill(request["name"])


async def _down(_supervisor: Supervisor, stop: asyncio.Event, _request: dict[str, Any]) -> Any:
    stop.set()
    return None


REQUESTS: dict[str, Handler] = {
    "status": _status,
    "want": _want,
    "start": _start,
    "stop": _stop_part,
    "kill": _kill,
    "down": _down,
}
