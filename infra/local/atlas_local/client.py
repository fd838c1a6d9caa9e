"""What others ask of a mesh: is one running, what is its state, wait until it is ready, take it down."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from atlas_local.home import AlreadyRuns, Home
from atlas_local.mesh import DATABASE
from atlas_local.steps import drop_database
from atlas_local.supervising.component import StartFailed
from atlas_local.supervising.control import NoAnswer, NotRunning, request
from atlas_local.supervising.processes import Identity, spawned_into
from atlas_local.supervising.state import NotAState, PartState, State, judged, without_supervisor
from atlas_local.supervising.supervisor import reap_children
from atlas_local.topology import select
from atlas_local.waiting import wait_until

_THERE = ("ready", "done", "outside", "absent")
# So many failed starts in a row are no accident of timing.
_HOPELESS = 3
# Longer than any part may take to become ready, so something hangs.
_STALLED_S = 150.0
_ASK_S = 10.0
_HUNG_S = 8.0  # for a supervisor that got a signal and does not answer


async def status(home: Home, *, probe: bool = True) -> State:
    """The state of the mesh, asked of its supervisor, which with `probe` asks each part that runs.

    Without a supervisor, what the kernel knows of processes that one left behind. Raises NoAnswer.
    """
    try:
        return await _asked(home, "status", probe=probe)
    except NotRunning:
        return without_supervisor({name: identity.pid for name, identity in spawned_into(home.logs)})


async def _asked(home: Home, do: str, **arguments: object) -> State:
    try:
        return judged(await request(home, do, timeout_s=_ASK_S, **arguments))
    except NotAState as error:
        raise NoAnswer(f"what listens at {home.socket} does not answer as a supervisor: {error}") from None


async def until_ready(
    home: Home, on_state: Callable[[State], None], is_coming: Callable[[], bool], names: tuple[str, ...] = ()
) -> State:
    """Ask for these parts, all without names, and wait until each is ready and has answered a probe after that.

    Tells of each state on the way. `is_coming` says, while no supervisor answers, whether one will. Raises
    StartFailed, with the reason, when a part fails to start for the third time, no supervisor comes, or nothing changes
    for longer than any part may take; UnknownPart.
    """
    wanted = {part.name for part in select(names)}
    asked_of: dict[str, object] | None = None
    there = False
    standing = _Standing()
    while True:
        try:
            state = await _asked(home, "status", probe=there)
            if state["stopping"]:
                raise NotRunning("it is being stopped")
            if state["supervisor"] != asked_of:  # new here: it may have been started for other parts
                state = await _asked(home, "want", names=names)
                asked_of = state["supervisor"]
        except NotRunning:
            if not is_coming():
                raise StartFailed(f"the supervisor ended; see {home.log('supervisor')}") from None
            there, asked_of = False, None
            standing.check(None, wanted)
        else:
            on_state(state)
            parts = [part for part in state["parts"] if part["name"] in wanted]
            if there and all(part["state"] in _THERE for part in parts):
                return state
            there = all(part["state"] in _THERE for part in parts)
            lacking = [part for part in parts if part["state"] not in _THERE]
            if hopeless := [_reason(part) for part in lacking if part["failures"] >= _HOPELESS]:
                raise StartFailed("\n".join(hopeless))
            standing.check(state, wanted)
        await asyncio.sleep(0.1)


class _Standing:
    """Notices that nothing moves any more."""

    def __init__(self) -> None:
        self._last: object = None
        self._since = time.monotonic()

    def check(self, state: State | None, wanted: set[str]) -> None:
        """Raises StartFailed when the state has been the same for too long."""
        parts = [part for part in state["parts"] if part["name"] in wanted] if state else []
        now = [(part["name"], part["state"], part["restarts"], part["failures"]) for part in parts]
        if now != self._last or self._last is None:
            self._last, self._since = now, time.monotonic()
        elif time.monotonic() - self._since > _STALLED_S:
            lacking = [_reason(part) for part in parts if part["state"] not in _THERE]
            what = "\n".join(lacking) or "no supervisor takes over"
            raise StartFailed(f"nothing has changed for {_STALLED_S:.0f} s: {what}")


def _reason(part: PartState) -> str:
    """Why it is not there; never empty."""
    told = part["trouble"] or part["detail"]
    return told or f"{part['name']} is {part['state']} after {part['failures']} failures"


async def take_down(home: Home, timeout_s: float = 90.0) -> bool:
    """Stop the mesh of this home; gives whether there was anything to stop. A supervisor that hangs is killed.

    Raises AlreadyRuns when another one takes over meanwhile, StillThere when a process can't be ended.
    """
    pid = home.holder()
    owner = Identity.of(pid) if pid else None
    ran = await _ask_to_end(home, owner)
    deadline = time.monotonic() + (timeout_s if ran else _HUNG_S)
    while True:
        try:
            with home.held():
                ran = await reap_children(home) > 0 or ran or owner is not None
                break
        except AlreadyRuns:
            if owner is not None and not owner.alive and ran:
                return True  # and somebody has started another one since
            if time.monotonic() > deadline:
                if owner is None or home.holder() != owner.pid:
                    raise
                os.kill(owner.pid, signal.SIGKILL)  # it has the lock file open, so it is ours
                deadline += _HUNG_S
        await asyncio.sleep(0.05)
    if owner is not None:  # it has let go of everything and is on its way out
        with suppress(TimeoutError):
            await wait_until("the supervisor is gone", lambda: not owner.alive, _HUNG_S)
    return ran


async def _ask_to_end(home: Home, owner: Identity | None) -> bool:
    """Whether the supervisor said that it will; one that does not listen (yet, or any more) gets a signal."""
    try:
        await request(home, "down", timeout_s=_ASK_S)
    except (NotRunning, NoAnswer):
        if owner is not None and owner.alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(owner.pid, signal.SIGTERM)
        return False
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
