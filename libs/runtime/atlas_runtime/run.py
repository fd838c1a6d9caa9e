"""The life of a service process: settings in, signals handled, `serve` run, an exit code out."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop
from atlas_errors.policy import Fate, describe, fate_of
from prometheus_client import disable_created_metrics

from atlas_runtime.observing import logs, process, traces
from atlas_runtime.setting_names import describe_unknown, unknown_names
from atlas_runtime.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
Serve = Callable[[S, asyncio.Event], Awaitable[None]]

_CANCEL_TIMEOUT_S = 2.0  # after the drain time: what is cancelled may still close its connections

log = structlog.get_logger(__name__)


def run(settings: S, serve: Serve[S]) -> None:
    """Run `serve(settings, stop)` until it returns; never returns itself, ends with SystemExit.

    A name in the environment that looks like a setting and is none is a line of the log.

    SIGTERM and SIGINT set `stop`; `serve` then has `drain_timeout_s` to return before it is cancelled, and a second
    signal cancels it at once. Exit code 0: it returned, or gave up after `stop` on a dependency that was away.
    1: it raised (one log line carries the error) or did not drain in time.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series a counter, which nothing reads
    logs.configure(settings)
    traces.configure(settings)
    for name, near in unknown_names(type(settings), os.environ).items():
        log.warning(describe_unknown(name, near))
    try:
        code = uvloop.run(_supervise(settings, serve))
    finally:
        traces.shutdown()
        logs.shutdown()
    raise SystemExit(code)


async def _supervise(settings: S, serve: Serve[S]) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal(name: str) -> None:
        log.info("stopping", signal=name)
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, on_signal, signum.name)
    log.info("starting", environment=settings.environment, pid=os.getpid())

    async def work() -> None:
        await serve(settings, stop)

    with process.observed(settings.service, settings.environment):
        task = asyncio.create_task(work(), name="serve")
        await _until_done(task, stop, hurry, settings.drain_timeout_s)
    if not task.done():
        log.error("the service ignores its cancellation; killing the process")
        os._exit(1)
    if task.cancelled():
        log.error("cancelled: it did not drain in time", drain_timeout_s=settings.drain_timeout_s)
        return 1
    error = task.exception()
    if error is not None and stop.is_set() and _passing(error):
        log.warning("stopped while something was away", error=_leaves(error))
        return 0
    if error is not None:
        log.error("crashed", error=_leaves(error), exc_info=error)
        return 1
    log.info("stopped")
    return 0


async def _until_done(task: asyncio.Task[None], stop: asyncio.Event, hurry: asyncio.Event, drain_s: float) -> None:
    """Wait for the task; from `stop` on for `drain_s` only (less if hurried), then cancel it and wait a little."""
    stopped = asyncio.create_task(stop.wait())
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        await asyncio.wait({task, hurried}, timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    hurried.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_TIMEOUT_S)


def _passing(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_passing(inner) for inner in error.exceptions)
    return fate_of(error) is Fate.TRANSIENT


def _leaves(error: BaseException) -> str:
    """The error in one line; of a group, each of its leaves."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_leaves(inner) for inner in error.exceptions)
    return describe(error)
