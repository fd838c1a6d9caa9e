"""One lane while there is little to do, all of them when there is much.

Lanes exist so that PostgreSQL and Kafka work at the same time. With little to do that gains nothing: the same rows are
sent in twice as many transactions, each of which costs the broker and everybody else on the machine the same.
"""

import time
from collections.abc import Mapping, Sequence

# Batches that were full, one after the other: a backlog, and not a commit of many rows.
_FULL_BATCHES = 2
_CALM_S = 5.0


class Spread:
    """How many of an instance's lanes are in use."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._full = 0
        self._full_at = 0.0
        self.in_use = 1

    def noted(self, *, full: bool) -> bool:
        """Take in a batch; whether more lanes are to be in use from now on."""
        if not full:
            if self.in_use == 1:
                self._full = 0
            return False
        self._full += 1
        self._full_at = time.monotonic()
        return self.in_use < self._lanes and self._full >= _FULL_BATCHES

    def decide(self) -> None:
        """Set `in_use`: all of them after some full batches, one again when there was none for a while."""
        if self._full >= _FULL_BATCHES:
            self.in_use = self._lanes
        if self.in_use > 1 and time.monotonic() - self._full_at > _CALM_S:
            self.in_use, self._full = 1, 0


def divided(epochs: Mapping[int, int], lanes: int, in_use: int) -> list[dict[int, int]]:
    """What each lane relays: a fixed choice for each number in use, so that a new group moves no other."""
    return [
        {group: epoch for group, epoch in epochs.items() if lane < in_use and group % in_use == lane}
        for lane in range(lanes)
    ]


def settled(wanted: Sequence[Mapping[int, int]], held: Sequence[Mapping[int, int]]) -> list[dict[int, int]]:
    """Of what each lane is to relay, what no other has in hand: two must never have the same."""
    return [
        {
            group: epoch
            for group, epoch in groups.items()
            if not any(group in others for lane, others in enumerate(held) if lane != number)
        }
        for number, groups in enumerate(wanted)
    ]
