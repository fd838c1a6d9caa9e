"""Starting a client of aiokafka so that a cancellation can't make it lose a connection."""

import asyncio
from collections.abc import Coroutine
from typing import Any

# A start whose broker answers takes milliseconds; one whose broker hangs must not hold up a service that stops.
CANCEL_GRACE_S = 2.0


async def start_whole(start: Coroutine[Any, Any, None]) -> None:
    """Await a client's `start()` or `bootstrap()`; when cancelled meanwhile, let it come to its end first.

    aiokafka asks the first broker over a connection that it keeps in a variable: cancelled there, nobody closes it,
    neither `start()` nor a later `stop()`. A start that takes longer than CANCEL_GRACE_S is cancelled all the same.
    Raises what the start raises.
    """
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting], timeout=CANCEL_GRACE_S)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        raise
