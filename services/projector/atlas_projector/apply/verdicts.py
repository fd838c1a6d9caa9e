"""Whether a projection is well: what became of its last records, good ones and those set aside.

A record that can't be handled is its own fault, as long as others can. Where a generation has no row yet and none of
its first records could be handled, the projection is at fault: it stops before it sets aside a whole topic. As that may
be a flood of bad records all the same, the number it puts up with doubles each time it tries again.
"""

import time
from dataclasses import dataclass

# So many set aside, and none handled since, are no accident.
FAILING_FROM = 3
# Good ones as late as this speak for it.
GOOD_WITHIN_S = 10.0
# A projection that has handled others is well again when nothing came for so long that it could not: a quiet topic
# brings no good one to say so.
BAD_FOR_S = 60.0
# Of a generation that has no row yet, so many first records may be set aside.
FIRST_BAD_MAX = 20


class ProjectionFailed(Exception):
    """The projection can't handle any record; none of those is set aside for it."""


@dataclass(slots=True)
class Verdicts:
    """`proven`: there is a row, so the projection can make one. `bad`: set aside since the last good one."""

    projection: str
    proven: bool = False
    bad: int = 0
    reason: str = ""
    good_at: float = 0.0
    bad_at: float = 0.0
    bad_max: int = FIRST_BAD_MAX

    def begin(self, proven: bool, bad: int, reason: str) -> None:
        """What is durable says so: dead letters count where there is no row beside them."""
        self.proven = proven
        self.bad, self.reason = (0, "") if proven else (bad, reason)

    def note(self, good: int, bad: int, reason: str) -> None:
        """Some more became durable, or are about to."""
        if good:
            self.proven, self.bad, self.good_at = True, 0, time.monotonic()
        elif bad:
            self.bad += bad
            self.reason, self.bad_at = reason, time.monotonic()

    def put_up_with(self, bad: int, reason: str) -> None:
        """Raise ProjectionFailed where so many more, and no good one among them, are the projection's fault."""
        if not self.proven and self.bad + bad > self.bad_max:
            first = f"{self.bad + bad:,} records of {self.projection}"
            raise ProjectionFailed(f"none of the first {first} can be handled, the last one: {reason}")

    def try_again(self) -> None:
        """From now on put up with twice as many."""
        self.bad_max *= 2

    def trouble(self) -> str | None:
        """What is wrong with the projection as a whole; None while it is well."""
        now = time.monotonic()
        if self.bad < FAILING_FROM or now - self.good_at < GOOD_WITHIN_S:
            return None
        if self.proven and now - self.bad_at > BAD_FOR_S:
            return None
        return f"failing: the last {self.bad:,} records were all set aside, the last one: {self.reason}"
