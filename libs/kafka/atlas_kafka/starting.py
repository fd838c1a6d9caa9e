"""Starting a client of aiokafka so that a cancellation can't make it lose a connection."""

import asyncio
from collections.abc import Coroutine
from typing import Any

# How old what a client knows of the cluster may get: new partitions, a topic that came or went and another leader are
# seen within this time. aiokafka's default is five minutes; an answer is some hundred bytes a topic.
METADATA_MAX_AGE_MS = 3_000
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
