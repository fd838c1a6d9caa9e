"""Columns of rows that are told one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from aiokafka import TopicPartition
from atlas_health_aggregator.commits import Commits
from atlas_health_aggregator.groups import GroupOffsets
from atlas_health_aggregator.judging.columns import Lags, Scans, Stands, StandsReader, lags
from atlas_health_aggregator.judging.lag_rows import Position, Scan
from atlas_health_aggregator.judging.layout import Places, Range

OTHER_ID = "another"


def commits(offsets: Mapping[int, int], topic_id: str | None = None) -> Commits:
    """Offsets by partition."""
    return Commits(np.array(list(offsets), np.int64), np.array(list(offsets.values()), np.int64), topic_id)


def stands_of(positions: Sequence[Position], reader: StandsReader | None = None) -> Stands:
    """Where groups stand, of positions whose partitions are numbered from 0 on; one of each group and partition."""
    ranges = {
        TopicPartition(each.topic, each.partition): Range(each.start, each.stable, each.end) for each in positions
    }
    blocked = {TopicPartition(each.topic, each.partition) for each in positions if each.blocked}
    ids = {each.topic: each.topic_id for each in positions if each.topic_id is not None}
    groups: dict[str, GroupOffsets] = {}
    for each in positions:
        group = groups.get(each.group, GroupOffsets(each.group, {}, each.members, ours=each.ours))
        known = {None: None, True: each.topic_id, False: OTHER_ID}[each.same_topic]
        more = {} if each.committed is None else {each.topic: commits({each.partition: each.committed}, known)}
        if each.told is not None:
            more = {topic: replace(one, lag=np.array([each.told])) for topic, one in more.items()}
        before = group.committed.get(each.topic)
        if more and before is not None:
            more = {each.topic: _joined(before, more[each.topic])}
        groups[each.group] = replace(group, committed={**group.committed, **more}, topics=group.topics | {each.topic})
    return (reader or StandsReader()).read(list(groups.values()), Places.of(ranges, ids, blocked))


def _joined(one: Commits, other: Commits) -> Commits:
    return Commits(
        np.concatenate([one.partitions, other.partitions]),
        np.concatenate([one.offsets, other.offsets]),
        (*one.ids_of(), *other.ids_of()),
    )


def row_of(stands: Stands, position: Position) -> int:
    """Where the row of a position is."""
    (block,) = [each for each in stands.layout.blocks if (each.group, each.topic) == (position.group, position.topic)]
    return block.start + position.partition


def scans_of(stands: Stands, known: Mapping[int, Scan]) -> Scans:
    """What reading found, by row."""
    scans = Scans.none(len(stands.layout))
    scans.committed, scans.same = stands.committed, stands.same
    for row, scan in known.items():
        scans.put(np.array([row]), scan)
    return scans


def lags_of(told: Sequence[tuple[Position, Scan | None]], now_ms: int) -> tuple[Lags, list[int]]:
    """The columns of these rows, and where each of them is."""
    stands = stands_of([position for position, _ in told])
    rows = [row_of(stands, position) for position, _ in told]
    scans = scans_of(stands, {row: scan for row, (_, scan) in zip(rows, told, strict=True) if scan is not None})
    return lags(stands, scans, now_ms), rows
