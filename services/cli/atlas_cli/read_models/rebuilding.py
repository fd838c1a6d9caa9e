"""Driving a rebuild: the projector does the work, this starts it, follows it and says how it ended."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NotRequired
from urllib.parse import quote

from typing_extensions import TypedDict

from atlas_cli.asking import NoAnswer, Service
from atlas_cli.settings import CliSettings
from atlas_cli.terminal.output import CommandError

TIMEOUT_S = 20.0
POLL_S = 0.25
# A projector that is only busy answers again soon; one that restarted has lost the rebuild and says so.
PATIENCE_S = 10.0

OnProgress = Callable[[dict[str, Any]], None]


class Result(TypedDict):
    """What a rebuild that ended well made."""

    to_generation: int | None
    rows: int
    events: int
    seconds: float
    identical: bool | None
    different_rows: int | None


class Asks(TypedDict):
    """What a rebuild wants to be told before it takes rows away."""

    topics: list[str]
    missing_rows: int


class State(TypedDict):
    """How far a rebuild is."""

    state: str
    phase: str
    events: int
    remaining: int
    events_per_second: float
    result: Result | None
    error: str | None
    asks: NotRequired[Asks | None]


class RowsMissing(CommandError):
    """It was built and not swapped: rows of a topic that was made again would be gone. Asked again, it is swapped."""


async def rebuild(
    settings: CliSettings,
    name: str,
    *,
    verify: bool = False,
    flags: Collection[str] = (),
    selection: Mapping[str, str] | None = None,
    on_progress: OnProgress = lambda _state: None,
) -> dict[str, Any]:
    """Rebuild a projection and wait for its end; `on_progress` hears each state on the way.

    `flags`: `fresh` gives up an unfinished one first, `though_missing` swaps although rows of a topic that was made
    again will be gone. A `selection` (into, until_ms, key, type) goes into a side table.

    Gives {"projection", "from_generation", "to_generation", "rows", "identical", "different_rows", "events",
    "passed_over", "seconds"}; `identical` is None unless `verify`, and False if readers kept the old rows for it.
    RowsMissing without that flag; CommandError if it failed otherwise, was cancelled, or the projector does not
    answer.
    """
    query = dict.fromkeys((*(("verify",) if verify else ()), *flags), "true") | dict(selection or {})
    path = f"/projections/{quote(name, safe='')}/rebuild"
    state = await _projector(settings).ask("POST", path, State, query=query)
    while state["state"] == "running":
        await asyncio.sleep(POLL_S)
        state = await _patiently(settings, path)
        on_progress(state)
    if state["state"] == "cancelled":
        raise CommandError(f"the rebuild of {name} was cancelled at {state['events']:,} events; run it again to go on")
    if state.get("asks"):
        raise RowsMissing(str(state["error"]))
    if state["result"] is None:
        raise CommandError(f"the rebuild of {name} failed: {state['error']}")
    return dict(state["result"])


async def ask(settings: CliSettings, method: str, path: str, shape: Any, body: Any = None) -> Any:
    """The projector's answer, as `Service.ask` gives it; `body` is sent as JSON."""
    return await _projector(settings).ask(method, path, shape, body=body)


def _projector(settings: CliSettings) -> Service:
    return Service("projector", settings.projector_url, TIMEOUT_S)


async def _patiently(settings: CliSettings, path: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask(settings, "GET", path, State)
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(POLL_S)
