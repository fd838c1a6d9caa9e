"""A probe beside the work: how long the event loop was not free."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

# No input may hold the loop for longer.
STALL_MAX_S = 0.02


@dataclass
class Watch:
    """`longest_s`: the longest turn of the loop so far, in this thread's CPU time: a busy machine does not matter."""

    longest_s: float = 0.0


@asynccontextmanager
async def watched() -> AsyncIterator[Watch]:
    """Watch the loop within the block."""
    watch = Watch()

    async def look() -> None:
        while True:
            started = time.thread_time()
            await asyncio.sleep(0)
            watch.longest_s = max(watch.longest_s, time.thread_time() - started)

    # The garbage of all tests before is not the block's, and to look through it takes as long as a stall. The gateway
    # does the same at its start.
    gc.collect()
    gc.freeze()
    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    try:
        yield watch
        await asyncio.sleep(0)
    finally:
        gc.unfreeze()
        looking.cancel()
