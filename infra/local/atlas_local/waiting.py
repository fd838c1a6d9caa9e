"""Waiting for a condition, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

INTERVAL_S = 0.02


async def wait_until(
    what: str,
    condition: Callable[[], object] | Callable[[], Awaitable[object]],
    seconds: float = 20,
    interval_s: float = INTERVAL_S,
) -> None:
    """Return once `condition` gives something true; it may be a plain or an async function.

    Between two looks `interval_s` pass: more of it where a look costs what is waited for its time.

    Raises TimeoutError, which names `what` and the last answer, when `seconds` have passed.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what} (last seen: {answer!r})")
        await asyncio.sleep(interval_s)
