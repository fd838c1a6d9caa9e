"""What a server or a service is to those who run it, and the waiting for its readiness."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from atlas_local.supervising.log_lines import short
from atlas_local.supervising.processes import Command, Process, last_lines


class NotReady(Exception):
    """It does not answer as it should yet; the message says what was missing."""


class NotWell(NotReady):
    """It runs and says itself that it is not ready: to start it again would change nothing."""


class StartFailed(Exception):
    """It ended before it was ready, or was not ready in time; the message has its last log lines."""


class StillNotWell(StartFailed):
    """Its time to become ready is over; it runs, and says what it lacks."""


class Component(Protocol):
    """One process of the mesh and how to talk to it."""

    @property
    def name(self) -> str:
        """Also the name of its log and data."""

    @property
    def url(self) -> str:
        """Where it listens, without secrets."""

    @property
    def ready_s(self) -> float:
        """Seconds it may take to become ready."""

    @property
    def port_names(self) -> tuple[str, ...]:
        """Its ports, by name."""

    async def prepare(self) -> None:
        """Make what must be there before the process: directories, configuration, an initialised data directory."""

    def command(self) -> Command:
        """What to run; called after `prepare`."""

    async def ping(self) -> None:
        """Return when it answers; raises NotReady, OSError or TimeoutError otherwise."""


OnMissing = Callable[[str], None]
# A start that takes longer says what it waits for, also while nobody answers.
_TOLD_AFTER_S = 5.0


async def wait_ready(component: Component, process: Process, log: Path, on_missing: OnMissing) -> None:
    """Return once the component answers; `on_missing` hears what it lacks, when that is worth telling and has changed.

    Raises StartFailed when its process ends or its time is over; StillNotWell where it answers what it lacks.
    """
    deadline = time.monotonic() + component.ready_s
    exited = asyncio.ensure_future(process.wait())
    missing, failed, told, patient_until = "not asked yet", StartFailed, "", time.monotonic() + _TOLD_AFTER_S
    try:
        while time.monotonic() < deadline:
            if exited.done():
                raise StartFailed(_explain(f"{component.name} ended with exit code {exited.result()}", log))
            try:
                async with asyncio.timeout(5):
                    return await component.ping()
            except (NotReady, OSError, TimeoutError) as error:
                missing = str(error) or type(error).__name__
                failed = StillNotWell if isinstance(error, NotWell) else StartFailed
                # At first nobody listens yet, which is how every start is.
                if missing != told and (failed is StillNotWell or time.monotonic() > patient_until):
                    on_missing(missing)
                    told = missing
            await asyncio.wait([exited], timeout=0.1)
    finally:
        exited.cancel()
    raise failed(_explain(f"{component.name} is not ready after {component.ready_s:.0f} s: {missing}", log))


def _explain(what: str, log: Path) -> str:
    lines = [text for line in last_lines(log) for text in short(line).splitlines()]
    return "\n".join([what, f"last lines of {log}:", *(f"  {line}" for line in lines)]) if lines else what


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await work that must not be left half done; a cancellation takes effect after it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class Runner:
    """One component under the hand of its caller: start, stop, kill, pause. What the tests hold."""

    def __init__(self, component: Component, log: Path) -> None:
        self.component = component
        self.log = log
        self.process: Process | None = None
        self._ready = False
        self.on_spawn: Callable[[], None] = lambda: None
        self.on_missing: OnMissing = lambda _what: None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.exit_code is None

    async def start(self) -> None:
        """Start it and wait until it is ready, on the same port and data as before; nothing when it is.

        Raises StartFailed. After StillNotWell it runs on, and to start it again is to wait again.
        """
        if self.running and self._ready:
            return
        if not self.running:
            self._ready = False
            await _to_its_end(self.component.prepare())
            self.process = Process.spawn(self.component.command(), self.log)
            self.on_spawn()
        assert self.process is not None
        try:
            await wait_ready(self.component, self.process, self.log, self.on_missing)
        except StillNotWell:
            raise
        except BaseException:
            self.process.kill()
            raise
        self._ready = True

    async def stop(self) -> None:
        """Stop it in an orderly way."""
        if self.process is not None:
            await self.process.stop()

    def kill(self) -> None:
        """kill -9; returns when the process and its children are gone."""
        if self.process is not None:
            self.process.kill()
