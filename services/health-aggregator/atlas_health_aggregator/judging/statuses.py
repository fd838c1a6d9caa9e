"""The status of every group and partition, round by round. Pure: time comes in as an argument."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atlas_health_aggregator.judging.lag_rows import LagRow, LagState
from atlas_health_aggregator.judging.status import Observation, Status, Track, worst

# Whoever asks for lag has a round taken: those that come much sooner than the next is due are no observations.
SOON = 0.8

_Key = tuple[str, str, str | None, int]


@dataclass(frozen=True, slots=True)
class OnPurpose:
    """Who lags on purpose: groups that hold records for so many seconds, by the first word of their name, and groups
    whose whole name matches `late`, always.
    """

    held_s: Mapping[str, float]
    late: re.Pattern[str]

    def held(self, row: LagRow) -> bool:
        """Whether what waits here, waits on purpose."""
        if self.late.fullmatch(row.group):
            return True
        most = self.held_s.get(row.group.partition(".")[0])
        if most is None or row.members == 0 or row.state is LagState.BLOCKED:
            return False
        return row.lag_seconds is not None and row.lag_seconds <= most


class Statuses:
    """Keeps what was observed of every partition of every group that there is."""

    def __init__(self, interval_s: float, on_purpose: OnPurpose) -> None:
        """`interval_s`: between two observations."""
        self._soon_s = interval_s * SOON
        self._on_purpose = on_purpose
        self._tracks: dict[_Key, Track] = {}
        self._at: float | None = None

    def follow(self, rows: Sequence[LagRow], now: float) -> list[LagRow]:
        """The rows with their status; `now` is a monotonic time in seconds.

        What comes too soon after the last observation is none: it has the status of that one, and is ok if caught up.
        """
        if self._at is not None and now - self._at < self._soon_s:
            return [replace(row, status=self._last(row)) for row in rows]
        self._at = now
        tracks = {}
        for row in rows:
            key = _key(row)
            tracks[key] = self._tracks.get(key, _NOTHING).follow(self._observation(row))
        self._tracks = tracks
        return [replace(row, status=tracks[_key(row)].status) for row in rows]

    def _last(self, row: LagRow) -> Status | None:
        return Status.OK if row.lag_records == 0 else self._tracks.get(_key(row), _NOTHING).status

    def _observation(self, row: LagRow) -> Observation:
        return Observation(
            committed=-1 if row.committed is None else row.committed,
            read=row.end - row.lag_records,
            end=row.end,
            members=row.members,
            blocked=row.state is LagState.BLOCKED,
            held=row.lag_records > 0 and self._on_purpose.held(row),
        )


def of_groups(rows: Sequence[LagRow]) -> dict[str, Status | None]:
    """The status of each group: that of the worst of its partitions."""
    found: dict[str, list[Status | None]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row.status)
    return {group: worst(statuses) for group, statuses in found.items()}


_NOTHING = Track()


def _key(row: LagRow) -> _Key:
    return row.group, row.topic, row.topic_id, row.partition
