"""What others ask of a mesh: is one running, what is its state, wait until it is ready, take it down."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from atlas_local.component import StartFailed
from atlas_local.control import NotRunning, request
from atlas_local.home import Home
from atlas_local.mesh import DATABASE
from atlas_local.processes import Identity
from atlas_local.steps import drop_database
from atlas_local.supervisor import reap_children

State = dict[str, Any]
_SETTLED = ("ready", "done", "outside", "off", "stopped")
# So many failed starts in a row are no accident of timing.
_HOPELESS = 3


async def status(home: Home, *, probe: bool = True) -> State:
    """The state of the mesh, asked of its supervisor; what it last wrote, every part marked dead, when that is gone.

    Empty when no mesh ever ran here.
    """
    try:
        answer: State = await request(home, "status", timeout_s=10, probe=probe)
        return answer | {"running": True}
    except NotRunning:
        state = home.read_state()
        for part in state.get("parts", ()):
            left = part.get("pid") and Identity(part["pid"], part["started"]).alive
            part |= {"state": "left behind" if left else "stopped", "pid": part["pid"] if left else None}
        return state | {"running": False} if state else {"running": False, "parts": []}


async def until_ready(home: Home, on_state: Callable[[State], None], is_alive: Callable[[], bool]) -> State:
    """Wait until all that is wanted is ready, telling of each state on the way.

    Raises StartFailed, with what is missing and the last log lines, when a part fails to start for the third time or
    the supervisor (as `is_alive` tells) ends.
    """
    while True:
        try:
            state = await status(home, probe=False)
            if not state["running"]:
                raise NotRunning
        except (NotRunning, TimeoutError):
            if not is_alive():
                raise StartFailed(f"the supervisor ended; see {home.log('supervisor')}") from None
            await asyncio.sleep(0.05)
            continue
        on_state(state)
        hopeless = [part for part in state["parts"] if part["failures"] >= _HOPELESS]
        if hopeless:
            raise StartFailed("\n".join(part["detail"] for part in hopeless))
        if all(part["state"] in _SETTLED for part in state["parts"]):
            return state
        await asyncio.sleep(0.1)


async def take_down(home: Home, timeout_s: float = 60.0) -> bool:
    """Stop the mesh of this home; gives whether there was anything to stop. Raises TimeoutError."""
    state = home.read_state()
    owner = Identity(state["supervisor"]["pid"], state["supervisor"]["started"]) if "supervisor" in state else None
    try:
        await request(home, "down", timeout_s=10)
    except NotRunning:
        if owner is None or not owner.alive:
            with home.held():
                return await reap_children(home) > 0
    deadline = time.monotonic() + timeout_s
    while owner is not None and owner.alive:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the supervisor, process {owner.pid}, has not ended after {timeout_s:.0f} s")
        await asyncio.sleep(0.05)
    return True


async def reset_database(home: Home) -> None:
    """Drop the database of the mesh that runs here, with its services stopped meanwhile, and make it anew.

    Raises NotRunning, and StartFailed when the services do not come back.
    """
    state = await status(home, probe=False)
    if not state["running"]:
        raise NotRunning(f"no mesh runs in {home.path}")
    admin_dsn = home.read_env().get("ATLAS_POSTGRES_ADMIN_DSN")
    if admin_dsn is None:
        raise StartFailed("the database is an outside one: it is not dropped from here")
    running = [part["name"] for part in state["parts"] if part["kind"] == "service" and part["state"] == "ready"]
    await asyncio.gather(*(request(home, "stop", name=name) for name in [*running, "database"]))
    await drop_database(admin_dsn, DATABASE)
    for names in (["database"], running):
        replies = await asyncio.gather(*(request(home, "start", name=name) for name in names))
        failed = [reply["detail"] for reply in replies if reply["state"] == "back-off"]
        if failed:
            raise StartFailed("\n".join(failed))
