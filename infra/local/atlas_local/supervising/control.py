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
from atlas_local.supervising.supervisor import Supervisor
from atlas_local.topology import UnknownPart

# The kernel allows 107 bytes for a socket's path.
_LONGEST_PATH = 100


class NotRunning(Exception):
    """No supervisor answers in this home."""


class NoAnswer(Exception):
    """Something holds this home but does not answer as a supervisor does; the message says what is known of it."""


class Refused(Exception):
    """The supervisor would not do it; the message says why."""


@asynccontextmanager
async def serve(supervisor: Supervisor, stop: asyncio.Event) -> AsyncIterator[None]:
    """Take requests while the body runs; only the owner of the home can reach the socket."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, ValueError):  # ValueError: a line without end
                while line := await reader.readline():
                    writer.write(json.dumps(await _reply(supervisor, stop, line)).encode() + b"\n")
                    await writer.drain()
        finally:  # also when the supervisor ends while a client is still connected
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


async def _reply(supervisor: Supervisor, stop: asyncio.Event, line: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(line)
        return {"ok": await REQUESTS[asked["do"]](supervisor, stop, asked)}
    except UnknownPart as error:
        return {"error": str(error)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return {"error": f"not a request: {type(error).__name__}: {error}"}


async def request(home: Home, do: str, timeout_s: float = 120.0, **arguments: Any) -> Any:
    """Ask the supervisor of this home; raises NotRunning, Refused, or NoAnswer when no answer comes that is one."""
    try:
        async with asyncio.timeout(timeout_s):
            line = await _exchange(home, json.dumps({"do": do, **arguments}).encode() + b"\n")
    except TimeoutError:
        raise NoAnswer(f"{_holder(home)} does not answer for {timeout_s:g} s; end the mesh: atlas down") from None
    except (OSError, ValueError) as error:
        raise NoAnswer(f"what listens at {home.socket} can't be asked: {error}") from None
    if not line:
        raise NotRunning(f"the mesh in {home.path} stopped while it was asked")
    try:
        reply = json.loads(line)
        answer = reply.get("error", reply.get("ok"))
    except (ValueError, AttributeError, RecursionError):
        raise NoAnswer(f"what listens at {home.socket} does not answer as a supervisor: {line[:100]!r}") from None
    if "error" in reply:
        raise Refused(str(answer))
    return answer


async def _exchange(home: Home, line: bytes) -> bytes:
    """Send a line, give the one that comes back: empty when the supervisor ended. Raises NotRunning."""
    try:
        with _short(home.socket) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=1 << 20)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(f"no mesh runs in {home.path}") from None
    try:
        writer.write(line)
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def _holder(home: Home) -> str:
    pid = home.holder()
    return f"the supervisor of {home.path}" + (f", process {pid}," if pid else "")


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


async def _refresh(supervisor: Supervisor, _stop: asyncio.Event, _request: dict[str, Any]) -> Any:
    return await supervisor.refresh()


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
    "refresh": _refresh,
    "kill": _kill,
    "down": _down,
}
