"""Work in steps, so that nobody who has an event loop to keep free is held up by what somebody else has written."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
# How long steps may follow each other before others get their turn.
TURN_S = 0.004


class Work:
    """Something that may take long. Call it, in any thread; `take` then gives its result, or raises what it raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._result: Any = None
        self._error: Exception | None = None

    def __call__(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 - raised where the result is wanted
            self._error = error

    def take(self) -> Any:
        """What came of it."""
        if self._error is not None:
            raise self._error
        return self._result


async def in_turns(steps: Iterator[Work | None]) -> None:
    """Take the steps; what may take long is done in a thread, so that the loop's others go on meanwhile."""
    begun = time.perf_counter()
    for work in steps:
        if work is not None:
            await in_thread(work)
        elif time.perf_counter() - begun > TURN_S:
            await asyncio.sleep(0)
        else:
            continue
        begun = time.perf_counter()


async def in_thread(work: Callable[[], T]) -> T:
    """What comes of it, in another thread. Who is cancelled meanwhile waits for its end: it works on what is theirs."""
    working = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
