"""Reads the first record that each group has not consumed: once for a committed offset, not once a round."""

import asyncio
import time
from collections.abc import Callable, Iterator

import numpy as np
from aiokafka import AIOKafkaClient, TopicPartition
from atlas_kafka.fetching.firstrecords import PARTITIONS, First, Sought, first_records

from atlas_health_aggregator.judging.columns import Scans, Stands, to_read, wanted
from atlas_health_aggregator.judging.lag_rows import Scan, Wanted
from atlas_health_aggregator.judging.layout import Ints, Layout

# Of a round, for reading records that no round before has read: what is left has no seconds until the next one.
SCANS_S = 8.0

_Waiting = dict[TopicPartition, dict[int, list[tuple[Ints, int]]]]


class Unread:
    """Keeps what was read, and goes with the groups from round to round."""

    def __init__(self) -> None:
        self._layout = Layout()
        self._scans = Scans.none(0)

    async def read(
        self, client: AIOKafkaClient, stands: Stands, leader_of: Callable[[TopicPartition], int | None]
    ) -> Scans:
        """What is known of every row, read for at most SCANS_S seconds, the mesh's own groups first.

        What can't be read by then is not known. Raises KafkaError.
        """
        layout = stands.layout
        where = np.arange(len(layout)) if layout is self._layout else layout.carried(self._layout)
        scans = self._scans.carried(where, stands)
        self._layout, self._scans = layout, scans
        rows, at = to_read(stands, scans)
        if len(rows):
            ours = np.array([stands.groups[name].ours for name in layout.groups], np.bool_)[layout.group[rows]]
            deadline = time.monotonic() + SCANS_S
            for these in (ours, ~ours):
                for sought, waiting in _parts(wanted(stands, scans, rows[these], at[these])):
                    if time.monotonic() >= deadline:
                        return scans
                    async for place, found in first_records(client, sought, leader_of):
                        _put(scans, waiting[place], found)
                    await asyncio.sleep(0)  # an answer takes milliseconds: between two, others have their turn
        return scans


def _parts(sought: Iterator[tuple[Wanted, Ints, int]]) -> Iterator[tuple[list[Sought], _Waiting]]:
    """What is sought, as many partitions at a time as fit a request, with the rows that wait for it."""
    waiting: _Waiting = {}
    ends: dict[TopicPartition, Wanted] = {}
    for each, rows, origin in sought:
        place = TopicPartition(each.topic, each.partition)
        if place not in waiting and len(waiting) == PARTITIONS:
            yield _sought(waiting, ends), waiting
            waiting, ends = {}, {}
        waiting.setdefault(place, {}).setdefault(each.offset, []).append((rows, origin))
        ends[place] = each
    if waiting:
        yield _sought(waiting, ends), waiting


def _sought(waiting: _Waiting, ends: dict[TopicPartition, Wanted]) -> list[Sought]:
    return [
        Sought(place, ends[place].topic_id or "", sorted(offsets), ends[place].stable, ends[place].end)
        for place, offsets in waiting.items()
        if ends[place].topic_id
    ]


def _put(scans: Scans, waiting: dict[int, list[tuple[Ints, int]]], found: dict[int, First]) -> None:
    for offset, first in found.items():
        for rows, origin in waiting[offset]:
            scans.put(rows, Scan(origin, first.offset, first.timestamp, first.open))
