"""The one back-off: how long is waited between attempts, and waits that end when the process stops.

Libraries for retries wait in their own loop, which a stop of the process does not end; and what is tried again here is
often no call but a whole loop that begins anew.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from atlas_errors.metrics import RETRIES
from atlas_errors.policy import Fate, describe, fate_of

T = TypeVar("T")
log = structlog.get_logger(__name__)

# The first wait is short because most outages are a restart; the last is short enough that nobody has to restart
# a service by hand after a long one.
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
# Further doublings would only make a number that no float holds.
_DOUBLINGS_MAX = 64


def backoff_s(failures: int, first_s: float = BACKOFF_FIRST_S, most_s: float = BACKOFF_MAX_S) -> float:
    """Seconds to wait after this many failures in a row before the one just now (from 0).

    The bound doubles with each failure, from `first_s` up to `most_s`. The wait is drawn evenly between a quarter of
    the bound and the bound: so instances that an outage has lined up spread, and none of them asks again at once.
    """
    bound = min(most_s, first_s * 2.0 ** min(failures, _DOUBLINGS_MAX))
    return random.uniform(bound / 4, bound)


class Backoff:
    """The waits of one loop: longer with each failure in a row, see `backoff_s`."""

    def __init__(self, first_s: float = BACKOFF_FIRST_S, most_s: float = BACKOFF_MAX_S) -> None:
        self._first_s, self._most_s = first_s, most_s
        self.failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        wait_s = backoff_s(self.failures, self._first_s, self._most_s)
        self.failures += 1
        return wait_s

    async def wait(self, stop: asyncio.Event) -> bool:
        """Wait after one more failure, or less if `stop` is set meanwhile; True if it was."""
        return await wait_unless(stop, self.next_s())

    def reset(self) -> None:
        """It went well: the next failure is the first."""
        self.failures = 0


async def wait_unless(stop: asyncio.Event, seconds: float) -> bool:
    """Wait `seconds`, or less if `stop` is set meanwhile; True if it was."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


async def retrying(
    operation: Callable[[], Awaitable[T]],
    *,
    what: str,
    stop: asyncio.Event,
    on_retry: Callable[[str | None], None] | None = None,
) -> T:
    """Run `operation` until it succeeds, backing off while its errors are transient.

    `on_retry` hears the reason of each failed attempt, and None once it succeeded after one. Errors of another fate
    are raised; so is the last transient one when `stop` is set.
    """
    backoff = Backoff()
    while True:
        try:
            result = await operation()
        except Exception as error:
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            RETRIES.labels(what).inc()
            reason = f"{what}: {describe(error)}"
            log.warning("will try again", what=what, attempt=backoff.failures + 1, error=describe(error))
            if on_retry is not None:
                on_retry(reason)
            if await backoff.wait(stop):
                raise
        else:
            if backoff.failures and on_retry is not None:
                on_retry(None)
            return result
