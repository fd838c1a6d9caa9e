"""Ending a process that stands still: code that loops for ever holds the event loop, and nobody in it can say so.

The watch is the interpreter's own thread in C, so it works however the loop is held. The process that comes after
begins where this one stood, see atlas_projector.apply.crashes.
"""

import asyncio
import faulthandler
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ARMED_AGAIN_TIMES = 4


@asynccontextmanager
async def ended_at_standstill(seconds: float) -> AsyncIterator[None]:
    """Within the block, end the process with the stacks of its threads on stderr when the event loop was held so long;
    0: never.
    """
    if not seconds:
        yield
        return

    async def arm_again() -> None:
        while True:
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
            await asyncio.sleep(seconds / ARMED_AGAIN_TIMES)

    watch = asyncio.create_task(arm_again())
    try:
        yield
    finally:
        watch.cancel()
        faulthandler.cancel_dump_traceback_later()
