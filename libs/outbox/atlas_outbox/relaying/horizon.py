"""Below which id no row can appear any more, so that claims need not walk through what was deleted there.

While anybody holds an old snapshot, deleted rows stay in table and index, and a claim that begins at the first id
visits every one of them again. Ids are handed out while a writer holds its lock on the table, which it keeps to its
end. So: read the last id, then who holds that lock; when all of these have ended, each id up to that one is visible or
never will be. Parked rows that go back have old ids; they raise the lease's revision, and then the floor begins at 0
again.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """The last id handed out, and the transactions that may have uncommitted rows up to it, named for ever."""

    last_id: int
    writers: frozenset[str]


@dataclass(slots=True)
class Horizon:
    """What two looks prove: every id up to `settled` was visible, or never will be, at the time of the second."""

    settled: int = 0
    _earlier: Look | None = None

    def saw(self, look: Look) -> None:
        """Take in a new look; claims that begin after it may rely on `settled`."""
        if self._earlier is None or not self._earlier.writers & look.writers:
            if self._earlier is not None:
                self.settled = self._earlier.last_id
            self._earlier = look

    def floor(self, first: int | None) -> int:
        """The lowest id that a claim of a group need look at, when one that began after the look found `first` as its
        first row, or none."""
        return self.settled + 1 if first is None else min(first, self.settled + 1)
