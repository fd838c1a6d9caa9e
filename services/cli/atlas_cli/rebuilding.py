"""Driving a rebuild: the projector does the work, this starts it, follows it and says how it ended."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from atlas_cli.output import CommandError
from atlas_cli.settings import CliSettings

TIMEOUT_S = 20.0
POLL_S = 0.25
# A projector that is only busy answers again soon; one that restarted has lost the rebuild and says so.
PATIENCE_S = 10.0

OnProgress = Callable[[dict[str, Any]], None]


class NoAnswer(CommandError):
    """The projector can't be reached."""


async def rebuild(
    settings: CliSettings,
    name: str,
    *,
    verify: bool = False,
    fresh: bool = False,
    selection: Mapping[str, str] | None = None,
    on_progress: OnProgress = lambda _state: None,
) -> dict[str, Any]:
    """Rebuild a projection and wait for its end; `on_progress` hears each state on the way. A `selection` (into,
    until_ms, key, type) goes into a side table.

    Gives {"projection", "from_generation", "to_generation", "rows", "identical", "different_rows", "events",
    "passed_over", "seconds"}; `identical` is None unless `verify`, and False if readers kept the old rows for it.
    CommandError if it failed otherwise, was cancelled, or the projector does not answer.
    """
    flags = {flag: "true" for flag, on in (("verify", verify), ("fresh", fresh)) if on} | dict(selection or {})
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        path = f"/projections/{quote(name, safe='')}/rebuild"
        state = await _ask(session, settings, "POST", path, flags)
        while state["state"] == "running":
            await asyncio.sleep(POLL_S)
            state = await _patiently(session, settings, path)
            on_progress(state)
    if state["state"] == "cancelled":
        raise CommandError(f"the rebuild of {name} was cancelled at {state['events']:,} events; run it again to go on")
    if state["result"] is None:
        raise CommandError(f"the rebuild of {name} failed: {state['error']}")
    return dict(state["result"])


async def ask(settings: CliSettings, method: str, path: str, body: Any = None) -> Any:
    """The projector's answer; `body` is sent as JSON. CommandError with what it says is wrong, NoAnswer without one."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        return await _ask(session, settings, method, path, {}, body)


async def _patiently(session: aiohttp.ClientSession, settings: CliSettings, path: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await _ask(session, settings, "GET", path, {})
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(POLL_S)


async def _ask(
    session: aiohttp.ClientSession,
    settings: CliSettings,
    method: str,
    path: str,
    query: dict[str, str],
    body: Any = None,
) -> Any:
    url = f"{settings.projector_url.rstrip('/')}{path}"
    try:
        async with session.request(method, url, params=query or None, json=body) as response:
            if response.status < 400:
                return await response.json()
            text = await response.text()
            raise CommandError(_problem(url, response.status, text))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NoAnswer(f"the projector at {url} does not answer: {str(error) or type(error).__name__}") from None


def _problem(url: str, status: int, text: str) -> str:
    import json

    try:
        problem = json.loads(text)
        known = f"; there are {', '.join(problem['known'])}" if problem.get("known") else ""
        return f"{problem['title']}{known}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{url} answered {status}: {text[:200]}"
