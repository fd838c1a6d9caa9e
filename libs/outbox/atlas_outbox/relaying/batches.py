"""What a relay claims, and what it has sent."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from atlas_outbox.relaying.sent import Row

# Until a commit is on disk the server can't mark what it deleted as dead for good, and every claim visits those rows
# again: after many rows the flush pays, after few the next claim should not wait for it.
FLUSH_FROM_ROWS = 500


class Want(NamedTuple):
    """A group to claim from: as its owner believes it to be, at most `rows`, from the id `floor` on."""

    group: int
    epoch: int
    revision: int
    rows: int
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """The rows, in id order within a group, and the groups whose leases were as wanted."""

    rows: Sequence[Row]
    groups: Collection[int]


def slices_of(rows: Sequence[Row]) -> dict[int, tuple[int, int]]:
    """First and last place, counted from 1, of each group's rows, which lie side by side."""
    slices: dict[int, tuple[int, int]] = {}
    first, last = 1, len(rows)
    while first <= last:
        group = rows[first - 1][0]
        end = bisect_right(rows, False, first - 1, key=lambda row: row[0] != group)
        slices[group] = (first, end)
        first = end + 1
    return slices
