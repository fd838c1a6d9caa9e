"""Where groups stand in the partitions that they read: one position for each. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from atlas_health_aggregator.groups import GroupOffsets
from atlas_health_aggregator.judging.blocked import Blockade
from atlas_health_aggregator.judging.lag_rows import Position

# Each makes a row of every answer and some series.
POSITIONS_MAX = 5000


@dataclass(frozen=True, slots=True)
class Range:
    """First offset, last stable offset and high watermark of a partition."""

    start: int
    stable: int
    end: int


@dataclass(frozen=True, slots=True)
class Known:
    """What goes for the partitions: topics' ids, which commits count those, what is blocked, retention.ms by topic."""

    ids: Mapping[str, str]
    same: Mapping[tuple[str, TopicPartition], bool | None]
    blocked: Mapping[TopicPartition, Blockade]
    retention: Mapping[str, int]


def positions_of(
    groups: Sequence[GroupOffsets], ranges: Mapping[TopicPartition, Range], known: Known
) -> tuple[list[Position], int]:
    """Every partition of every topic that exists and that a group reads, or has read; how many groups are left out.

    The mesh's own groups come first, and of others as many as POSITIONS_MAX allows.
    """
    positions: list[Position] = []
    left_out = 0
    for group in sorted(groups, key=lambda each: not each.ours):
        read = group.read
        if not group.ours and len(positions) + sum(each.topic in read for each in ranges) > POSITIONS_MAX:
            left_out += 1
            continue
        for partition, span in ranges.items():
            if partition.topic not in read:
                continue
            commit = group.committed.get(partition)
            positions.append(
                Position(
                    group=group.name,
                    topic=partition.topic,
                    partition=partition.partition,
                    committed=commit.offset if commit is not None else None,
                    start=span.start,
                    stable=span.stable,
                    end=span.end,
                    members=group.members,
                    retention_ms=known.retention.get(partition.topic, -1),
                    blocked=partition in known.blocked,
                    same_topic=known.same.get((group.name, partition)),
                    topic_id=known.ids.get(partition.topic),
                    ours=group.ours,
                )
            )
    return positions, left_out
