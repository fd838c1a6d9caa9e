"""Lag of every group in every partition, a column at a time: there may be hundreds of thousands. Pure.

What a column says of a row is what `lag_row` says of it alone; a test holds the two together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from atlas_health_aggregator.groups import GroupOffsets
from atlas_health_aggregator.judging.lag_rows import LagState, Position, Scan, Wanted
from atlas_health_aggregator.judging.layout import NOWHERE, Flags, Floats, Ints, Layout, Places, carry

# A column's words for None: no commit, and no record that was read. A client may send a record without a time, -1.
NOTHING, NOT_READ = -1, -2
UNKNOWN, OTHER, SAME = -1, 0, 1
_STATES = list(LagState)
_OLD, _LOST, _BEYOND, _NOBODY, _BLOCKED, _LAGGING, _CAUGHT_UP = range(len(_STATES))


@dataclass
class Scans:
    """What reading found for each row, as `Scan`, and the commit that it goes for; `unread` NOT_READ where None."""

    committed: Ints
    same: NDArray[np.int8]
    origin: Ints
    clean: Ints
    unread: Ints
    open: Flags
    known: Flags

    @classmethod
    def none(cls, rows: int) -> "Scans":
        """Nothing has been read yet."""
        committed, origin, clean, unread = (np.zeros(rows, np.int64) for _ in range(4))
        is_open, known = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
        return cls(committed, np.zeros(rows, np.int8), origin, clean, unread, is_open, known)

    def carried(self, where: Ints, stands: "Stands") -> "Scans":
        """Those that go for where the groups stand now, in another layout: a copy."""
        columns = (self.committed, self.same, self.origin, self.clean, self.unread, self.open, self.known)
        found = Scans(*(carry(column, where, 0) for column in columns))  # type: ignore[arg-type]
        found.known = valid(stands, found)
        found.committed, found.same = stands.committed, stands.same
        return found

    def put(self, rows: Ints, scan: Scan) -> None:
        """Take what was found for rows of one place and offset."""
        self.origin[rows], self.clean[rows], self.open[rows] = scan.origin, scan.clean_until, scan.open
        self.unread[rows] = NOT_READ if scan.unread_at is None else scan.unread_at
        self.known[rows] = True


@dataclass(frozen=True)
class Stands:
    """Where every group stands: what it has committed (NOTHING: nothing), and whether that counts the topic of now."""

    layout: Layout
    places: Places
    groups: Mapping[str, GroupOffsets]
    committed: Ints
    same: NDArray[np.int8]
    # How many records wait, where the brokers say so, else NOTHING; None: they say so of no row.
    told: Ints | None = None

    @property
    def members(self) -> NDArray[np.int32]:
        """Of each group, in the layout's order; NOTHING where the brokers do not tell."""
        counts = (self.groups[name].members for name in self.layout.groups)
        return np.array([NOTHING if count is None else count for count in counts], np.int32)

    def standing(self) -> Ints:
        """Where each stands in the topic of now: at its start, unless it has committed something that counts this."""
        start, end = self.places.start[self.layout.place], self.places.end[self.layout.place]
        beyond = (self.same == UNKNOWN) & (self.committed > end)
        return np.where((self.committed < 0) | (self.same == OTHER) | beyond, start, self.committed)


class StandsReader:
    """Lays out what groups have committed, and remembers of which topic commits are that do not say so."""

    def __init__(self) -> None:
        self._layout = Layout()
        # A commit that was there before its topic was made again: whoever has it has read nothing of this one.
        self._old = np.zeros(0, np.int64)
        self._committed = np.zeros(0, np.int64)

    def read(self, groups: Sequence[GroupOffsets], places: Places) -> Stands:
        """The next round."""
        layout = Layout.of(groups, places)
        if layout.blocks == self._layout.blocks:
            layout = self._layout
        else:
            old = carry(self._old, layout.carried(self._layout), NOTHING)
            again = layout.carried(self._layout, same_topic=False)
            self._old = np.where(again != NOWHERE, carry(self._committed, again, NOTHING), old)
        by_name = {group.name: group for group in groups}
        committed = np.full(len(layout), NOTHING, np.int64)
        same = np.full(len(layout), UNKNOWN, np.int8)
        told: Ints | None = None
        for block in layout.blocks:
            commits = by_name[block.group].committed.get(block.topic)
            if commits is None:
                continue
            there = commits.partitions < block.rows
            rows = block.start + commits.partitions[there]
            committed[rows] = commits.offsets[there]
            if commits.lag is not None:
                told = np.full(len(layout), NOTHING, np.int64) if told is None else told
                told[rows] = commits.lag[there]
            if isinstance(commits.ids, str):
                same[rows] = SAME if commits.ids == block.topic_id else OTHER
            elif commits.ids is not None:
                ids = [_sameness(each, block.topic_id) for each in commits.ids]
                same[rows] = np.array(ids, np.int8)[there]
        self._old = np.where((self._old >= 0) & (self._old == committed), self._old, NOTHING)
        same[(same == UNKNOWN) & (self._old >= 0)] = OTHER
        self._layout, self._committed = layout, committed
        return Stands(layout, places, by_name, committed, same, told)


def _sameness(topic_id: str | None, now: str | None) -> int:
    return UNKNOWN if topic_id is None else SAME if topic_id == now else OTHER


@dataclass(frozen=True)
class Lags:
    """Of each row: lag in records and in seconds (NaN: not known), records lost, and the state by its number."""

    stands: Stands
    scans: Scans
    now_ms: int
    read: Ints
    records: Ints
    seconds: Floats
    lost: Ints
    state: NDArray[np.int8]


def valid(stands: Stands, scans: Scans) -> Flags:
    """Which scans go for where the groups stand now."""
    end = stands.places.end[stands.layout.place]
    same = (scans.committed == stands.committed) & (scans.same == stands.same)
    found: Flags = scans.known & same & (scans.clean <= end)  # else the topic was made anew
    return found


def to_read(stands: Stands, scans: Scans) -> tuple[Ints, Ints]:
    """The rows whose first unread record is to be read, and from where on; `scan_from` for all rows."""
    place = stands.layout.place
    start, stable, end = (column[place] for column in (stands.places.start, stands.places.stable, stands.places.end))
    at = np.maximum(stands.standing(), start)
    known = valid(stands, scans)
    ended = known & scans.open & (scans.clean < stable)
    answered = known & ~ended & (scans.unread != NOT_READ) & (scans.clean >= start)
    at = np.where(ended, np.maximum(at, scans.origin), np.where(known, np.maximum(at, scans.clean), at))
    rows = np.flatnonzero(~answered & (at < end))
    return rows, at[rows]


def wanted(stands: Stands, scans: Scans, rows: Ints, at: Ints) -> Iterator[tuple[Wanted, Ints, int]]:
    """What is to be read, each place and offset once, by place and offset: with the rows that wait for it, and where
    the scan begins that this goes on.
    """
    layout, places = stands.layout, stands.places
    place = layout.place[rows].astype(np.int64)
    known = valid(stands, scans)[rows]
    origin = np.where(known & (scans.clean[rows] == at), scans.origin[rows], at)
    order = np.lexsort((origin, at, place))
    rows, at, place, origin = rows[order], at[order], place[order], origin[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(place) != 0) | (np.diff(at) != 0) | (np.diff(origin) != 0)
    bounds = [*np.flatnonzero(new).tolist(), len(rows)]
    for first, after in pairwise(bounds):
        row, here = int(rows[first]), int(place[first])
        block = layout.blocks[int(layout.block[row])]
        yield (
            Wanted(
                block.topic,
                block.topic_id,
                here - block.place,
                int(at[first]),
                int(places.stable[here]),
                int(places.end[here]),
            ),
            rows[first:after],
            int(origin[first]),
        )


def lags(stands: Stands, scans: Scans, now_ms: int) -> Lags:
    """Lag of every row; `lag_row` for all of them."""
    place = stands.layout.place
    start, stable, end = (column[place] for column in (stands.places.start, stands.places.stable, stands.places.end))
    standing = stands.standing()
    known = valid(stands, scans)
    at = np.where(known, np.maximum(standing, scans.clean), standing)
    # Else the scan began behind a loss.
    up_to = np.where(known & (scans.origin <= standing), at, standing)
    lost = np.maximum(0, start - up_to)
    at = np.maximum(at, start)
    records = np.maximum(0, end - at)
    if stands.told is not None:
        records = np.where(stands.told >= 0, np.minimum(records, stands.told), records)
    timed = known & (scans.clean == at) & (scans.unread >= 0)
    seconds = np.where(timed, np.maximum(0, now_ms - scans.unread) / 1000, np.nan)
    seconds = np.where(records == 0, 0.0, seconds)
    members = stands.members[stands.layout.group]
    blocked = stands.places.blocked[place] & (at >= stable) & (stable >= standing)
    state = np.full(len(at), _LAGGING, np.int8)
    state[blocked] = _BLOCKED
    state[members == 0] = _NOBODY
    state[records == 0] = _CAUGHT_UP
    state[stands.committed > end] = _BEYOND
    state[lost > 0] = _LOST
    state[(stands.committed >= 0) & (stands.same == OTHER)] = _OLD
    return Lags(stands, scans, now_ms, end - records, records, seconds, lost, state)


def position_of(stands: Stands, row: int, retention_ms: Mapping[str, int]) -> Position:
    """Where one row stands."""
    layout, places = stands.layout, stands.places
    block = layout.blocks[int(layout.block[row])]
    place = int(layout.place[row])
    group = stands.groups[block.group]
    committed, same = int(stands.committed[row]), int(stands.same[row])
    return Position(
        group=block.group,
        topic=block.topic,
        partition=place - block.place,
        committed=None if committed < 0 else committed,
        start=int(places.start[place]),
        stable=int(places.stable[place]),
        end=int(places.end[place]),
        members=group.members,
        retention_ms=retention_ms.get(block.topic, -1),
        blocked=bool(places.blocked[place]),
        same_topic=None if same == UNKNOWN else same == SAME,
        topic_id=block.topic_id,
        ours=group.ours,
        told=None if stands.told is None or stands.told[row] < 0 else int(stands.told[row]),
    )


def scan_of(scans: Scans, row: int) -> Scan:
    """What reading found for one row."""
    unread = int(scans.unread[row])
    return Scan(
        int(scans.origin[row]), int(scans.clean[row]), None if unread == NOT_READ else unread, bool(scans.open[row])
    )
