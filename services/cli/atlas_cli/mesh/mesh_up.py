"""Bringing the mesh up with its progress shown, in the background or the foreground, and taking it down."""

import asyncio
import subprocess
import time
from contextlib import suppress

from atlas_local import client
from atlas_local.home import ROOT, AlreadyRuns, Home
from atlas_local.mesh import Mesh
from atlas_local.supervising.component import StartFailed
from atlas_local.supervising.control import NoAnswer, NotRunning, Refused, request
from atlas_local.supervising.daemon import ALREADY_RUNS, spawn_detached, supervise
from atlas_local.supervising.processes import last_lines
from atlas_local.supervising.supervisor import DISK_FULL_BYTES, Supervisor, disk_free
from atlas_local.topology import UnknownPart, select

from atlas_cli.mesh.developing import follow, told
from atlas_cli.mesh.mesh_view import Progress, print_addresses
from atlas_cli.mesh.new_contexts import install
from atlas_cli.terminal.output import CommandError, print_json, say, spinner

_REFRESH_S = 240.0
_AGAIN_S = 0.5  # between two tries to hold the home


async def bring_up(home: Home, names: tuple[str, ...], *, as_json: bool) -> None:
    """Find the running mesh and ask it for what is missing, or start one; return when every part has answered a probe.

    One that runs takes over schemas and contexts that have changed since. A part that fails is named with its last log
    lines; the rest keeps running.
    """
    began = time.monotonic()
    _check(names)
    for name in install(ROOT):
        say(f"installed the context {name}", err=True)
    supervisor = _Supervisor(home, names)
    try:
        running = await client.status(home, probe=False)
        if running["running"] and not as_json:
            say(f"the mesh runs already, supervised by process {running['supervisor']['pid']}")
        if running["running"] and not running["stopping"]:
            await _refresh(home, quiet=as_json)
        with Progress(quiet=as_json) as progress:
            state = await client.until_ready(home, progress.show, supervisor.is_coming, names)
    except (StartFailed, NoAnswer, Refused) as error:
        first, *details = str(error).splitlines()
        keeps = "what did start keeps running; stop it: atlas down"
        raise CommandError(f"{first}{_disk(home)}; {keeps}", [*details, *supervisor.last_words()]) from None
    if as_json:
        print_json(state)
    else:
        print_addresses(state, time.monotonic() - began)


async def _refresh(home: Home, *, quiet: bool) -> None:
    """Raises CommandError where something of what is new does not work; NoAnswer, Refused."""
    with suppress(NotRunning), spinner("topics, migrations and services that have changed", quiet=quiet):
        reply = await request(home, "refresh", timeout_s=_REFRESH_S)
        for line in told(reply) if reply["restarted"] else ():
            say(line, err=True)
        if reply["failed"]:
            first, *more = reply["failed"]
            raise CommandError(first.splitlines()[0], [*first.splitlines()[1:], *more])


async def develop(home: Home, *, as_json: bool) -> None:
    """Bring the mesh up, and have what is edited run in it until Ctrl-C."""

    def tell(line: str) -> None:
        if as_json:
            print_json({"said": line}, one_line=True)
        else:
            say(line)

    await bring_up(home, (), as_json=as_json)
    tell("watching contexts and schemas; Ctrl-C ends this, the mesh runs on")
    try:
        await follow(home, ROOT, install, tell)
    except (NotRunning, NoAnswer, Refused) as error:
        raise CommandError(f"{error}; start the mesh again: atlas dev") from None


class _Supervisor:
    """Starts one whenever none answers, unless the one that was started has failed."""

    def __init__(self, home: Home, names: tuple[str, ...]) -> None:
        self._home, self._names = home, names
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    def is_coming(self) -> bool:
        """Whether a supervisor is on its way; another command may be just starting or ending one."""
        code = ALREADY_RUNS if self._process is None else self._process.poll()
        if code == ALREADY_RUNS and time.monotonic() - self._started_at > _AGAIN_S:
            self._process, self._started_at = spawn_detached(self._home, self._names), time.monotonic()
            return True
        return code in (None, ALREADY_RUNS)

    def last_words(self) -> list[str]:
        """The last lines of the log of one that failed."""
        failed = self._process is not None and self._process.poll() not in (None, ALREADY_RUNS)
        return last_lines(self._home.log("supervisor")) if failed else []


def _disk(home: Home) -> str:
    free = disk_free(home.path)
    full = free is not None and free < DISK_FULL_BYTES
    return f"; the disk of {home.path} is full ({(free or 0) // 1_000_000} MB free)" if full else ""


def run_in_foreground(home: Home, names: tuple[str, ...], *, as_json: bool) -> None:
    """Supervise in this process until Ctrl-C; CommandError when a mesh runs already."""
    _check(names)
    try:
        with home.held(), Progress(quiet=as_json) as progress:
            supervisor = Supervisor(Mesh(home))
            supervisor.on_change = lambda: progress.show(supervisor.status())
            asyncio.run(supervise(supervisor, names))
    except AlreadyRuns:
        raise CommandError("the mesh runs already; stop it first: atlas down") from None


async def take_down(home: Home) -> bool:
    """Stop the mesh; gives whether one ran."""
    return await client.take_down(home)


def _check(names: tuple[str, ...]) -> None:
    try:
        select(names)
    except UnknownPart as error:
        raise CommandError(str(error)) from None
