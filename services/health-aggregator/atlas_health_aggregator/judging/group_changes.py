"""What is told of the mesh's groups: one change, once a status has held for a while.

Pure: time comes in as an argument.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from atlas_health_aggregator.judging.lag_rows import LagRow
from atlas_health_aggregator.judging.rows import chosen
from atlas_health_aggregator.judging.status import Status

# A status is told once so many rounds in a row have it. One that comes and goes is not told.
HELD_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A group of a service went from one status to another; `previous` None: it was not known.

    `changed_at` is epoch milliseconds.
    """

    group: str
    previous: Status | None
    current: Status
    reason: str
    changed_at: int

    @property
    def service(self) -> str:
        """The service whose group it is."""
        return self.group.partition(".")[0]


@dataclass(slots=True)
class _Coming:
    status: Status
    since: int
    rounds: int = 1


class GroupChanges:
    """Keeps what was told last of each group that there is."""

    def __init__(self) -> None:
        self._told: dict[str, Status] = {}
        self._coming: dict[str, _Coming] = {}

    def restore(self, last: Iterable[GroupChange]) -> None:
        """Take the last change that was told of each group: what is as it was then is not told again."""
        self._told.update((change.group, change.current) for change in last)

    def judge(self, statuses: Mapping[str, Status | None], rows: Sequence[LagRow], now_ms: int) -> list[GroupChange]:
        """What is to be told after one more round, whose `rows` give the reasons; `statuses` are of the mesh's groups.

        A group that was never told of is ok.
        """
        changes = []
        for group, status in statuses.items():
            told = self._told.get(group)
            if status is None or status is (told or Status.OK):
                self._coming.pop(group, None)
                continue
            coming = self._coming.get(group)
            if coming is None or coming.status is not status:
                self._coming[group] = _Coming(status, now_ms)
                continue
            coming.rounds += 1
            if coming.rounds >= HELD_ROUNDS:
                changes.append(GroupChange(group, told, status, _reason(group, status, rows), coming.since))
                self._told[group] = status
                del self._coming[group]
        self._told = {group: status for group, status in self._told.items() if group in statuses}
        self._coming = {group: coming for group, coming in self._coming.items() if group in statuses}
        return changes


def _reason(group: str, status: Status, rows: Sequence[LagRow]) -> str:
    mine = chosen(rows, group)
    so = [row for row in mine if row.status is status]
    records, seconds = (
        sum(row.lag_records for row in so),
        [row.lag_seconds for row in so if row.lag_seconds is not None],
    )
    oldest = f", the oldest for {max(seconds):.0f} s" if seconds and records else ""
    return f"{len(so)} of {len(mine)} partitions are {status.value}: {records} records wait{oldest}"
