"""One part of the mesh under supervision: started when it should run, restarted with back-off when it crashes."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from atlas_local.supervising.component import Component, NotReady, Runner, StartFailed, StillNotWell
from atlas_local.topology import Part

_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.5, 30.0
_STEP_S = 60.0
# A process that ran this long has not been crashing in a loop: the next crash is a first one.
_STEADY_S = 60.0


class State(StrEnum):
    """Where a unit is in its life."""

    OFF = "off"  # not asked for
    WAITING = "waiting"  # for what it needs
    STARTING = "starting"
    READY = "ready"
    DONE = "done"  # a step that was carried out
    OUTSIDE = "outside"  # somebody else's server
    ABSENT = "absent"  # not installed on this machine; the mesh does without it
    BACKOFF = "back-off"  # crashed or failed; starts again by itself
    STOPPED = "stopped"  # by request


USABLE = (State.READY, State.DONE, State.OUTSIDE)


class Unit:
    """What runs, or should. `wanted` says whether it should; `poke` makes `look_after` consider it anew."""

    def __init__(self, part: Part, log: Path, on_change: Callable[[], None]) -> None:
        self.part = part
        self.log = log
        self.state = State.OFF
        self.detail = ""
        self.trouble = ""  # why it last failed; empty once it is well
        self.runner: Runner | None = None
        self.restarts = 0
        self.last_exit: int | None = None
        self.wanted = False
        self.usable = asyncio.Event()
        self._failures = 0
        self._started_at = 0.0
        self._retry_at = 0.0
        self._poke = asyncio.Event()
        self._on_change = on_change
        self._moved = asyncio.Event()

    def set(self, state: State, detail: str = "") -> None:
        """Change the state and tell."""
        self.state, self.detail = state, detail
        if state in USABLE:
            self.trouble = ""
            self.usable.set()
        elif state is not State.WAITING:
            self.usable.clear()
        self._on_change()
        self._moved.set()
        self._moved = asyncio.Event()

    async def settle(self, *states: State) -> None:
        """Wait until the last request has been taken and has led to one of these states."""
        while self._poke.is_set() or self.state not in states:
            await self._moved.wait()

    async def until_wanted(self) -> None:
        """Wait until it is asked to run; meanwhile it is stopped, or off when it never ran."""
        self._poke.clear()  # a request made before now is in `wanted`, which is read now
        while not self.wanted:
            if self.state is not State.OFF:
                self.set(State.STOPPED)
            await self._poked()

    def ask(self, wanted: bool) -> None:
        """Ask that it runs, at once even in a back-off and with earlier failures forgiven, or that it does not."""
        self.wanted = wanted
        self._failures = 0
        self._poke.set()

    def forgive(self) -> None:
        """Count its failures from now on."""
        self._failures = 0

    def as_dict(self) -> dict[str, Any]:
        """The state for people and programs."""
        process = self.runner.process if self.runner is not None and self.runner.running else None
        retry_in_s = max(0.0, round(self._retry_at - time.monotonic(), 1))
        return {
            "name": self.part.name,
            "kind": self.part.kind,
            "state": self.state,
            "pid": process.pid if process else None,
            "started": process.identity.started if process else None,
            "up_s": round(time.monotonic() - self._started_at, 1) if process else None,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "retry_in_s": retry_in_s if self.state is State.BACKOFF else None,
            "failures": self._failures,
            "detail": self.detail,
            "trouble": self.trouble,
            "wanted": self.wanted,
            "log": str(self.log),
        }

    async def run_step(self, step: Callable[[], Awaitable[str]]) -> None:
        """Carry out a step until it succeeds, whenever it is wanted."""
        while True:
            await self.until_wanted()
            self.set(State.STARTING)
            try:
                async with asyncio.timeout(_STEP_S):
                    self.set(State.DONE, await step())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is shown and tried again
                await self._back_off(f"{type(error).__name__}: {error}")
                continue
            self._failures = 0
            await self._poked()

    async def run_process(self, component: Component, before_start: Callable[[], None]) -> None:
        """Keep the process running while it is wanted; in the end, it is the caller's to stop it.

        `before_start` is called before each start until the first that succeeds.
        """
        self.runner = Runner(component, self.log)
        self.runner.on_spawn = self._spawned
        self.runner.on_missing = self._lacking
        first = True
        while True:
            await self.until_wanted()
            self.set(State.STARTING)
            try:
                if first and not self.runner.running:
                    before_start()
                await self._unless_poked(self.runner.start())
            except StillNotWell as error:
                # Whatever of it is well goes on: a projection that is refused must not stop the others every minute.
                self._failures += 1
                self.trouble = str(error)
                continue
            except StartFailed as error:
                self._note_exit()
                await self._back_off(str(error))
                continue
            except (NotReady, OSError) as error:
                await self._back_off(f"{component.name} could not be prepared: {error}")
                continue
            except Exception as error:  # noqa: BLE001 - a defect of one part must not end the others
                traceback.print_exc()  # to the supervisor's log
                await self._back_off(f"{component.name} could not be started: {type(error).__name__}: {error}")
                continue
            if not self.runner.running:
                continue  # asked to stop while it was starting
            first = False
            self.set(State.READY)
            await self._watch(self.runner)

    async def _watch(self, runner: Runner) -> None:
        """Return when it has been stopped by request, or has crashed and its back-off is over."""
        assert runner.process is not None
        while self.wanted:
            await self._unless_poked(runner.process.wait())
            if not runner.running:
                self._note_exit()
                self.restarts += 1
                if time.monotonic() - self._started_at > _STEADY_S:
                    self._failures = 0
                return await self._back_off(f"ended with exit code {self.last_exit}")
        await runner.stop()
        self._note_exit()
        return None

    async def _back_off(self, why: str) -> None:
        # Here, because each `atlas` command imports this module, and the library brings those of logs and metrics.
        from atlas_errors.backoff import backoff_s

        wait_s = backoff_s(self._failures, _BACKOFF_FIRST_S, _BACKOFF_MOST_S)
        self._failures += 1
        self._retry_at = time.monotonic() + wait_s
        self.trouble = why
        self.set(State.BACKOFF, why)
        try:
            async with asyncio.timeout(wait_s):
                await self._poked()
        except TimeoutError:
            return

    async def _poked(self) -> None:
        await self._poke.wait()
        self._poke.clear()

    async def _unless_poked(self, work: Awaitable[Any]) -> None:
        """Do the work, or give it up when a request arrives meanwhile."""
        task, poked = asyncio.ensure_future(work), asyncio.ensure_future(self._poke.wait())
        try:
            await asyncio.wait([task, poked], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            else:
                self._poke.clear()
        finally:
            poked.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    def _spawned(self) -> None:
        self._started_at = time.monotonic()
        self._on_change()

    def _lacking(self, what: str) -> None:
        """It is starting, and says what it waits for."""
        self.detail = what
        self._on_change()

    def _note_exit(self) -> None:
        if self.runner is not None and self.runner.process is not None:
            self.last_exit = self.runner.process.exit_code
