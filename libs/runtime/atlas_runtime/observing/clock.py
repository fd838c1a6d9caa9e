"""Readiness says when this machine's clock is off: compared with the one of a server that others go by as well."""

import asyncio
import time
from collections.abc import Awaitable, Callable

# Clocks that are kept right differ by milliseconds. Leases, tokens and the window for the times of events bear with far
# more than a minute; a wrong time zone or a clock that was never set is off by an hour at least.
OFF_MAX_S = 60.0
# A clock does not go wrong all the time, and probes come every second.
ASK_EVERY_S = 30.0
_ANSWER_WITHIN_S = 1.0
POSTGRES_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


class Clock:
    """A check for `Health`: asks the server for its time, now and then, and says how far apart the two are."""

    def __init__(
        self,
        server: str,
        ask: Callable[[], Awaitable[float]],
        now: Callable[[], float] = time.time,
        ask_every_s: float = ASK_EVERY_S,
    ) -> None:
        """`ask` gives the server's time in seconds since the epoch; `server` is what to call it."""
        self._server, self._ask, self._now, self._every_s = server, ask, now, ask_every_s
        self._asked_at: float | None = None
        self._reason: str | None = None

    async def check(self) -> str | None:
        """None while the clocks agree to OFF_MAX_S; what was known, while the server does not answer."""
        if self._asked_at is not None and time.monotonic() - self._asked_at < self._every_s:
            return self._reason
        self._asked_at = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                theirs = await self._ask()
        except Exception:  # noqa: BLE001 - that the server is away is for its own check to say
            self._asked_at = None
            return self._reason
        self._reason = off(self._server, theirs, self._now(), time.monotonic() - self._asked_at)
        return self._reason


def off(server: str, theirs: float, now: float, took_s: float) -> str | None:
    """How far this machine's time `now` is from `server`'s, whose answer came after `took_s`; None where they agree."""
    # The answer was made at some moment of the asking.
    off_s = now - took_s / 2 - theirs
    if abs(off_s) <= OFF_MAX_S + took_s / 2:
        return None
    way = "ahead of" if off_s > 0 else "behind"
    return f"this machine's clock is {abs(off_s):.0f} s {way} {server}'s"
