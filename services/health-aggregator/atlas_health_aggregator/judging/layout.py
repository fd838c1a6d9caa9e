"""Where every group and partition has its row: a group, a topic, a run of partitions. Pure.

Rows are by group, then topic, then partition. What is kept of a row goes with it when rows come or go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from aiokafka import TopicPartition
from numpy.typing import NDArray

from atlas_health_aggregator.groups import GroupOffsets

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
# What a row or a place has that was not there before.
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Range:
    """First offset, last stable offset and high watermark of a partition."""

    start: int
    stable: int
    end: int


@dataclass(frozen=True)
class Places:
    """The partitions of all topics that are looked at, topic by topic: `first` says where each begins."""

    first: Mapping[str, int]
    count: Mapping[str, int]
    ids: Mapping[str, str]
    start: Ints
    stable: Ints
    end: Ints
    blocked: Flags

    @classmethod
    def of(
        cls, ranges: Mapping[TopicPartition, Range], ids: Mapping[str, str], blocked: Iterable[TopicPartition] = ()
    ) -> "Places":
        """From the ranges of whole topics; partitions are numbered without gaps, as Kafka does."""
        in_order = sorted(ranges)
        first: dict[str, int] = {}
        count: dict[str, int] = {}
        for at, partition in enumerate(in_order):
            first.setdefault(partition.topic, at)
            count[partition.topic] = partition.partition + 1
        spans = np.array([(span.start, span.stable, span.end) for span in map(ranges.__getitem__, in_order)], np.int64)
        start, stable, end = np.ascontiguousarray(spans.reshape(-1, 3).T)
        held = np.zeros(len(in_order), np.bool_)
        for partition in blocked:
            held[first[partition.topic] + partition.partition] = True
        return cls(first, count, ids, start, stable, end, held)

    def carried(self, before: "Places") -> Ints:
        """Where each place was before; NOWHERE for one that is new, or of a topic made again."""
        found = np.full(len(self.start), NOWHERE, np.int64)
        for topic, first in self.first.items():
            if topic in before.first and before.ids.get(topic) == self.ids.get(topic):
                count = min(self.count[topic], before.count[topic])
                found[first : first + count] = np.arange(before.first[topic], before.first[topic] + count)
        return found


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of a group in a topic: `rows` of them from `start` on, the places from `place` on."""

    group: str
    topic: str
    topic_id: str | None
    number: int = field(compare=False)  # of the group
    start: int = field(compare=False)
    rows: int
    place: int = field(compare=False)


@dataclass(frozen=True)
class Layout:
    """Every row: blocks by group and topic, one after the other. `groups` are those that have rows, by name."""

    groups: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()

    @classmethod
    def of(cls, groups: Sequence[GroupOffsets], places: Places) -> "Layout":
        """A row for every partition of every topic that exists and that a group reads, or has read."""
        blocks: list[Block] = []
        names: list[str] = []
        start = 0
        for group in sorted(groups, key=lambda each: each.name):
            topics = sorted(topic for topic in group.read if topic in places.first)
            for topic in topics:
                rows = places.count[topic]
                blocks.append(
                    Block(group.name, topic, places.ids.get(topic), len(names), start, rows, places.first[topic])
                )
                start += rows
            if topics:
                names.append(group.name)
        return cls(tuple(names), tuple(blocks))

    @cached_property
    def starts(self) -> Ints:
        """Where each block begins."""
        return np.array([block.start for block in self.blocks], np.int64)

    @cached_property
    def sizes(self) -> Ints:
        """How many rows each block has."""
        return np.array([block.rows for block in self.blocks], np.int64)

    @cached_property
    def block(self) -> NDArray[np.int32]:
        """The block of each row."""
        return np.repeat(np.arange(len(self.blocks), dtype=np.int32), self.sizes)

    @cached_property
    def group(self) -> NDArray[np.int32]:
        """The group of each row."""
        return np.array([block.number for block in self.blocks], np.int32)[self.block]

    @cached_property
    def partition(self) -> NDArray[np.int32]:
        """The partition of each row."""
        return (np.arange(len(self), dtype=np.int64) - self.starts[self.block]).astype(np.int32)

    @cached_property
    def place(self) -> NDArray[np.int32]:
        """The place of each row."""
        return np.array([block.place for block in self.blocks], np.int32)[self.block] + self.partition

    def __len__(self) -> int:
        return self.blocks[-1].start + self.blocks[-1].rows if self.blocks else 0

    def carried(self, before: "Layout", *, same_topic: bool = True) -> Ints:
        """Where each row was before; NOWHERE for a new one. Not `same_topic`: those of a topic that was made again."""
        known = {(block.group, block.topic): block for block in before.blocks}
        found = np.full(len(self), NOWHERE, np.int64)
        for block in self.blocks:
            old = known.get((block.group, block.topic))
            if old is not None and (old.topic_id == block.topic_id) is same_topic:
                count = min(block.rows, old.rows)
                found[block.start : block.start + count] = np.arange(old.start, old.start + count)
        return found


def carry(values: NDArray[np.generic], where: Ints, new: object) -> "NDArray[np.generic]":
    """The values of rows, or of places, that were at `where`; `new` for those that were nowhere."""
    carried = np.full(len(where), new, values.dtype)
    known = where != NOWHERE
    carried[known] = values[where[known]]
    return carried
