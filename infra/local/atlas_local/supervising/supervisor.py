"""The supervisor: starts the parts of the mesh in the order of their needs, restarts what crashes, stops all."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from atlas_local.home import Home
from atlas_local.mesh import Mesh
from atlas_local.supervising.processes import Identity, reap, rotate, spawned_into
from atlas_local.supervising.services import Service
from atlas_local.supervising.unit import USABLE, State, Unit
from atlas_local.topology import MESH, Kind, Part, UnknownPart, select
from atlas_local.waiting import wait_until

_ROTATE_EVERY_S = 5.0
_REAP_S, _LEAVE_S = 5.0, 3.0
# Below that, servers begin to end.
DISK_FULL_BYTES = 50_000_000


class Supervisor:
    """Owns every process of one home from `run` to its end."""

    def __init__(self, mesh: Mesh, parts: tuple[Part, ...] = MESH) -> None:
        self.mesh = mesh
        self.home: Home = mesh.home
        self.on_change: Callable[[], None] = lambda: None
        self.stopping = False
        self.started_at = time.time()
        self.units = {part.name: Unit(part, self.home.log(part.name), self._changed) for part in parts}

    async def run(self, wanted: tuple[str, ...], stop: asyncio.Event) -> None:
        """Run until `stop` is set; then every process has ended. The caller holds the home.

        1. End what a killed predecessor left. 2. Replace ports that something else has taken.
        3. Start what is wanted, each part after what it needs. 4. At the end stop services first, then servers.
        """
        await reap_children(self.home)  # 1
        self.mesh.replace_taken_ports(list(self.units))  # 2
        self.mesh.write_env()
        tasks = [asyncio.create_task(self._look_after(unit)) for unit in self.units.values()]
        tasks.append(asyncio.create_task(self._rotate_logs()))
        try:
            self.want(wanted)  # 3
            await _first_failure(tasks, stop)
        finally:
            await self._shut_down(tasks)  # 4

    def want(self, names: tuple[str, ...]) -> None:
        """Ask for these parts and all they need, also for those that wait after a failure; raises UnknownPart."""
        for part in select(names, tuple(unit.part for unit in self.units.values())):
            unit = self.units[part.name]
            if not unit.wanted or unit.state is State.BACKOFF:
                unit.ask(True)
            elif unit.state not in USABLE:
                unit.forgive()  # it is starting: not to be begun anew

    async def start(self, name: str) -> dict[str, Any]:
        """Start one part and wait until it is ready or has failed; gives its state."""
        unit = self._unit(name)
        if unit.state not in (*USABLE, State.ABSENT):
            unit.ask(True)
            await unit.settle(State.READY, State.DONE, State.BACKOFF, State.OUTSIDE)
        return unit.as_dict()

    async def stop(self, name: str) -> dict[str, Any]:
        """Stop one part in an orderly way and leave it stopped; gives its state."""
        unit = self._unit(name)
        if unit.state not in (State.OFF, State.OUTSIDE, State.ABSENT):
            unit.ask(False)
            await unit.settle(State.STOPPED, State.OUTSIDE)
        return unit.as_dict()

    async def refresh(self) -> dict[str, Any]:
        """Have changed schemas and contexts run: topics and migrations first, then the services that run them.

        Gives the services that were `restarted`, and what `failed`, with the reason. Where a step fails, no service is
        restarted: the old code goes on with the old tables.
        """
        services = {name: part for name, part in self.mesh.components.items() if isinstance(part, Service)}
        stale = [name for name, part in services.items() if self.units[name].wanted and part.is_stale]
        steps = [name for name in ("topics", "database") if stale and self.units[name].wanted]
        failed = _failures([await self._again(name) for name in steps])
        if failed:
            return {"restarted": [], "failed": failed}
        return {
            "restarted": stale,
            "failed": _failures(await asyncio.gather(*(self._again(name) for name in stale))),
        }

    async def _again(self, name: str) -> dict[str, Any]:
        unit = self.units[name]
        if unit.part.kind is Kind.SERVICE:
            await self.stop(name)
            return await self.start(name)
        unit.ask(True)
        await unit.settle(State.DONE, State.BACKOFF, State.OUTSIDE)
        return unit.as_dict()

    def kill(self, name: str) -> dict[str, Any]:
        """kill -9: the part then is what crashed, and is restarted; gives the state from before."""
        unit = self._unit(name)
        before = unit.as_dict()
        if unit.runner is not None:
            unit.runner.kill()
        return before

    def status(self) -> dict[str, Any]:
        """The state of everything."""
        owner = Identity.of(os.getpid())
        assert owner is not None
        return {
            "supervisor": {"pid": owner.pid, "started": owner.started, "since": self.started_at},
            "stopping": self.stopping,
            "disk_free_bytes": disk_free(self.home.path),
            "parts": [{**unit.as_dict(), "url": self.mesh.address(unit.part)} for unit in self.units.values()],
        }

    async def probed_status(self) -> dict[str, Any]:
        """The status, in which the parts that run have been asked just now; `detail` says what one lacks."""
        ready = [unit for unit in self.units.values() if unit.state is State.READY]
        answers = await asyncio.gather(*(self._probe(unit) for unit in ready))
        lacking = {unit.part.name: answer for unit, answer in zip(ready, answers, strict=True) if answer}
        status = self.status()
        for part in status["parts"]:
            if part["name"] in lacking:
                part |= {"state": "not ready", "detail": lacking[part["name"]]}
        return status

    async def _probe(self, unit: Unit) -> str:
        assert unit.runner is not None
        try:
            async with asyncio.timeout(3):
                await unit.runner.component.ping()
        except Exception as error:  # noqa: BLE001 - whatever a part that is not well does, it is not well
            return str(error) or type(error).__name__
        return ""

    async def _look_after(self, unit: Unit) -> None:
        name = unit.part.name
        if name not in self.mesh.steps and name not in self.mesh.components:
            unit.set(State.OUTSIDE if name in self.mesh.outside else State.ABSENT)
            return
        await unit.until_wanted()
        for need in unit.part.needs:
            unit.set(State.WAITING, f"for {need}")
            await self.units[need].usable.wait()
        if name in self.mesh.steps:
            await unit.run_step(self.mesh.steps[name])
        await unit.run_process(self.mesh.components[name], lambda: self._check_ports(name))

    def _check_ports(self, name: str) -> None:
        self.mesh.replace_taken_ports([name])
        self.mesh.write_env()

    async def _shut_down(self, tasks: list[asyncio.Task[None]]) -> None:
        self.stopping = True
        self._changed()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for kind in (Kind.SERVICE, Kind.SERVER):
            await asyncio.gather(*(self._end(unit) for unit in self.units.values() if unit.part.kind is kind))

    async def _end(self, unit: Unit) -> None:
        if unit.runner is not None:
            await unit.runner.stop()
            unit.set(State.STOPPED)

    def _unit(self, name: str) -> Unit:
        if name not in self.units:
            raise UnknownPart(f"no part of the mesh is named {name}; there are {', '.join(self.units)}")
        return self.units[name]

    def _changed(self) -> None:
        self.on_change()

    async def _rotate_logs(self) -> None:
        while True:
            for unit in self.units.values():
                with suppress(OSError):  # a full disk, which the copy would need more of
                    rotate(unit.log)
            await asyncio.sleep(_ROTATE_EVERY_S)


def _failures(replies: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{reply['name']}: {reply['detail']}" for reply in replies if reply["state"] == State.BACKOFF]


def disk_free(directory: Path) -> int | None:
    """Bytes that this user may still write there; None when there is no such directory any more."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


async def _first_failure(tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
    """Wait for `stop`; a defect in one of the tasks is raised at once instead of being lost."""
    stopped = asyncio.create_task(stop.wait())
    try:
        open_tasks = {*tasks, stopped}
        while not stopped.done():
            done, open_tasks = await asyncio.wait(open_tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        stopped.cancel()


async def reap_children(home: Home) -> int:
    """End what a supervisor that is gone left behind, in an orderly way where there is time; give how many.

    The caller holds the home, so no supervisor is there whose children they could be; one that only tries to hold it is
    given the time to find out. Raises StillThere.
    """
    left = spawned_into(home.logs)
    supervisors = [identity for name, identity in left if name == "supervisor"]
    count = await reap([identity for name, identity in left if name != "supervisor"], signal.SIGTERM, _REAP_S)
    with suppress(TimeoutError):
        await wait_until("they have left", lambda: not any(each.alive for each in supervisors), _LEAVE_S)
    # What is left now serves this home under a lock that somebody deleted, and has begun its parts again.
    await reap(supervisors, signal.SIGTERM, _REAP_S)
    return count + await reap([identity for _name, identity in spawned_into(home.logs)], signal.SIGTERM, _REAP_S)
