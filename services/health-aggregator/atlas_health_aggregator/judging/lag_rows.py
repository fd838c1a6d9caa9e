"""Consumer lag from offsets and timestamps. Pure: the reading is in lag.py.

Lag in seconds is the age of the first record that the group has not consumed; 0 when there is none. Offsets alone
can't say whether there is one: transaction markers and aborted records take offsets too, so a group that has read
everything may have committed less than the end. The record at (or after) the committed offset decides.

The end is the high watermark. What an open transaction holds back counts: nobody has read it, and nobody can.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from atlas_health_aggregator.judging.status import Status

# Later than any record was written.
NEVER = 2**62


class LagState(StrEnum):
    """What to make of a row, worst first."""

    OLD_TOPIC = "old-topic"  # it stands in a topic that was deleted: all of the one of that name now is unread
    LOST = "lost"  # retention deleted records that the group had not read
    BEYOND_END = "beyond-end"  # committed past the end: the brokers lost records, or the topic was made anew
    NO_MEMBERS = "no-members"  # records wait and nobody in the group reads
    BLOCKED = "blocked"  # all that can be read is read; the rest lies behind an open transaction that stands still
    LAGGING = "lagging"
    CAUGHT_UP = "caught-up"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a group stands in one partition.

    `committed` is None where the group has committed nothing to this partition, and `same_topic` is whether what it has
    counts the topic of now (None: nobody knows). `end` is the high watermark and `stable` the last stable offset;
    `blocked`: that one stands still; `members` None when the broker does not tell; `retention_ms` -1 for ever; `ours`:
    the group is one of the mesh's; `told`: how many records wait, where the brokers say so, as for share groups.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    start: int
    end: int
    members: int | None
    retention_ms: int
    stable: int
    blocked: bool = False
    same_topic: bool | None = None
    topic_id: str | None = None
    ours: bool = False
    told: int | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What reading found: no record in [`origin`, `clean_until`), and at `clean_until` one of time `unread_at`.

    `unread_at` is in epoch milliseconds; None: nothing there when it was read. `open`: that record lies behind the
    last stable offset, so it may yet be aborted.
    """

    origin: int
    clean_until: int
    unread_at: int | None
    open: bool = False


class Wanted(NamedTuple):
    """The first record at or after an offset of a partition that ends at `stable`, and for good at `end`."""

    topic: str
    topic_id: str | None
    partition: int
    offset: int
    stable: int
    end: int


class Lag(NamedTuple):
    """Lag of a group in a topic: records of all partitions, seconds of the worst one (None: not known of any)."""

    records: int
    seconds: float | None
    ours: bool


@dataclass(frozen=True, slots=True)
class LagRow:
    """Lag of one group in one partition; what `atlas lag --json` prints.

    `lag_records` is an upper bound where transaction markers lie between the records. `lag_seconds` is None when the
    first unread record could not be read in time; they are by the topic's `clock` (None: the brokers do not tell).
    `blocked_records` of the lag lie behind an open transaction. `retention_margin_s` is how long until retention may
    delete that record; None when it never does, or there is none. `state` is of this moment, `status` of the last
    minute: None as long as it can't be said. So are the rates, in offsets a second, and `catch_up_s`, how long it takes
    at these rates until nothing waits: None when that is never. `unread_at`: when that first record was written, epoch
    milliseconds.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    start: int
    stable: int
    end: int
    lag_records: int
    lag_seconds: float | None
    state: LagState
    members: int | None
    records_lost: int
    retention_margin_s: float | None
    topic_id: str | None = None
    ours: bool = False
    status: Status | None = None
    blocked_records: int = 0
    clock: str | None = None
    rate_in: float | None = None
    rate_out: float | None = None
    catch_up_s: float | None = None
    unread_at: int | None = None

    @property
    def is_beyond_end(self) -> bool:
        """Whether the group has committed past the end."""
        return self.state is LagState.BEYOND_END

    @property
    def is_of_old_topic(self) -> bool:
        """Whether it stands in a topic that was deleted."""
        return self.state is LagState.OLD_TOPIC

    def as_json(self) -> dict[str, Any]:
        """The fields, in order."""
        status = None if self.status is None else self.status.value
        shown = {**asdict(self), "state": self.state.value, "status": status}
        del shown["unread_at"]
        return shown


def lag_row(position: Position, scan: Scan | None, now_ms: int) -> LagRow:
    """The row for a position, given the newest scan from its committed offset (None: it could not be read)."""
    read_up_to = at = _committed(position)
    if scan is not None:
        at = max(at, scan.clean_until)
        if scan.origin <= read_up_to:  # else the scan began behind a loss
            read_up_to = at
    lost = max(0, position.start - read_up_to)
    at = max(at, position.start)
    records = max(0, position.end - at)
    if position.told is not None:
        records = min(records, position.told)
    seconds: float | None = 0.0
    unread_at = None
    if records:
        unread_at = scan.unread_at if scan is not None and scan.clean_until == at else None
        # A client may send a record without a time, which is -1.
        seconds = None if unread_at is None or unread_at < 0 else max(0.0, (now_ms - unread_at) / 1000)
    margin = None if not seconds or position.retention_ms < 0 else position.retention_ms / 1000 - seconds
    return LagRow(
        group=position.group,
        topic=position.topic,
        partition=position.partition,
        committed=position.committed,
        start=position.start,
        stable=position.stable,
        end=position.end,
        lag_records=records,
        lag_seconds=None if seconds is None else round(seconds, 3),
        state=_state(position, lost, records, at),
        members=position.members,
        records_lost=lost,
        retention_margin_s=None if margin is None else round(margin, 1),
        topic_id=position.topic_id,
        ours=position.ours,
        unread_at=unread_at,
        blocked_records=min(records, max(0, position.end - position.stable)),
    )


def _committed(position: Position) -> int:
    """Where it stands in the topic of now: at its start, unless it has committed something that counts this one."""
    committed = position.committed
    if committed is None or position.same_topic is False or (position.same_topic is None and committed > position.end):
        return position.start
    return committed


def _state(position: Position, lost: int, records: int, at: int) -> LagState:
    if position.committed is not None and position.same_topic is False:
        return LagState.OLD_TOPIC
    if lost:
        return LagState.LOST
    if position.committed is not None and position.committed > position.end:
        return LagState.BEYOND_END
    if records == 0:
        return LagState.CAUGHT_UP
    if position.members == 0:
        return LagState.NO_MEMBERS
    # Past the last stable offset stands only who reads what is not committed.
    blocked = position.blocked and at >= position.stable >= _committed(position)
    return LagState.BLOCKED if blocked else LagState.LAGGING


def worst_first(rows: Sequence[LagRow]) -> list[LagRow]:
    """The rows by state (worst first), then oldest record, then group, topic and partition."""
    return sorted(rows, key=rank)


def rank(row: LagRow) -> tuple[int, int, str, str, int]:
    """A row's place in that order, the same as long as the group does not move: pages of a list go on from there."""
    written = NEVER if row.unread_at is None or row.unread_at < 0 else row.unread_at
    return _STATES.index(row.state), written, row.group, row.topic, row.partition


_STATES = list(LagState)
