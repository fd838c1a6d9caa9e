"""Bringing the mesh up with its progress shown, in the background or the foreground, and taking it down."""

import asyncio
import time

from atlas_local import client
from atlas_local.component import StartFailed
from atlas_local.control import NotRunning, Refused, request
from atlas_local.daemon import ALREADY_RUNS, spawn_detached, supervise
from atlas_local.home import AlreadyRuns, Home
from atlas_local.mesh import Mesh
from atlas_local.processes import last_lines
from atlas_local.supervisor import Supervisor
from atlas_local.topology import UnknownPart, select

from atlas_cli.mesh_view import Progress, print_addresses
from atlas_cli.output import CommandError, print_json, say


async def bring_up(home: Home, names: tuple[str, ...], *, as_json: bool) -> None:
    """Find the running mesh and ask it for what is missing, or start one; return when all is ready.

    A part that fails is named with its last log lines; the rest keeps running.
    """
    began = time.monotonic()
    _check(names)
    try:
        state = await request(home, "want", names=names)

        def is_alive() -> bool:
            return False

        if not as_json:
            say(f"the mesh runs already, supervised by process {state['supervisor']['pid']}")
    except NotRunning:
        supervisor = spawn_detached(home, names)

        def is_alive() -> bool:
            return supervisor.poll() in (None, ALREADY_RUNS)  # another `up` was faster: its mesh is as good

    except Refused as error:
        raise CommandError(str(error)) from None
    with Progress(quiet=as_json) as progress:
        try:
            state = await client.until_ready(home, progress.show, is_alive)
        except StartFailed as error:
            lines = "" if is_alive() else "\n" + "\n".join(last_lines(home.log("supervisor")))
            raise CommandError(f"{error}{lines}\nwhat did start keeps running; stop it: atlas down") from None
    if as_json:
        print_json(state)
    else:
        print_addresses(state, time.monotonic() - began)


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
    try:
        return await client.take_down(home)
    except (TimeoutError, AlreadyRuns) as error:
        raise CommandError(str(error)) from None


def _check(names: tuple[str, ...]) -> None:
    try:
        select(names)
    except UnknownPart as error:
        raise CommandError(str(error)) from None
