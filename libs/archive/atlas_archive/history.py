"""Reads the archive as what it is: the history of a topic's partitions, in order, from any offset.

found = await histories(store, topic, incarnation)            # by partition; only manifests are read
async for records in read_history(store, found[0], start=1000):
    ...                                                       # lists of Record, offsets rising
found[0].next_offset                                          # where the topic has to take over
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from atlas_archive.chain.listing import partitions
from atlas_archive.chain.manifests import Manifest, PartitionPath
from atlas_archive.format.container import ArchiveFile, read_file
from atlas_archive.format.records import Record
from atlas_archive.store import ObjectStore

_offset = itemgetter(0)


class HistoryGap(Exception):
    """Offsets between two segments that no manifest covers; `atlas archive verify` says more."""

    def __init__(self, path: PartitionPath, start: int, stop: int) -> None:
        super().__init__(f"{path.topic}/{path.partition}: the archive has no offsets {start} to {stop - 1}")
        self.path = path


@dataclass(frozen=True, slots=True)
class History:
    """One partition of one incarnation: segments that follow each other without a gap; at least one."""

    path: PartitionPath
    segments: tuple[Manifest, ...]

    @property
    def start_offset(self) -> int:
        """Where the archive begins."""
        return self.segments[0].start_offset

    @property
    def next_offset(self) -> int:
        """Where the archive ends: the first offset that is not in it."""
        return self.segments[-1].next_offset

    @property
    def records(self) -> int:
        return sum(segment.records for segment in self.segments)

    def between(self, start: int, stop: int | None = None) -> list[Manifest]:
        """The segments with offsets of start ≤ offset < stop."""
        return [
            segment
            for segment in self.segments
            if segment.next_offset > start and (stop is None or segment.start_offset < stop)
        ]


async def histories(store: ObjectStore, topic: str, incarnation: str) -> dict[int, History]:
    """What is archived of an incarnation (Kafka's topic id), by partition; a partition without segments has none.

    Raises HistoryGap, BadManifest.
    """
    found: dict[int, History] = {}
    for partition, segments in (await partitions(store, topic, incarnation)).items():
        path = PartitionPath(topic, incarnation, partition)
        for before, after in pairwise(segments):
            if after.start_offset != before.next_offset:
                raise HistoryGap(path, before.next_offset, after.start_offset)
        found[partition] = History(path, tuple(segments))
    return found


async def read_history(
    store: ObjectStore, history: History, start: int = 0, stop: int | None = None, *, ahead: int = 1
) -> AsyncGenerator[list[Record], None]:
    """The records with start ≤ offset < stop, in offset order, in lists of about a block (256 KiB, never empty).

    Stops at `history.next_offset`; offsets that are missing were no records (transaction markers, compaction, or gone
    before they were archived). `ahead` segments are fetched while one is read, so memory holds `ahead` + 1 compressed
    segments and a block of each file. Raises MissingObject, CorruptFile. Close it (aclosing) to leave early.
    """
    async with aclosing(_fetched(store, history.between(start, stop), ahead)) as fetched:
        async for files in fetched:
            for block in merged(files):
                records = _within(block, start, stop)
                if records:
                    yield records
                await asyncio.sleep(0)  # decoding holds the loop: others get their turn after every block


async def read_segment(store: ObjectStore, segment: Manifest) -> AsyncGenerator[list[Record], None]:
    """One segment's records, in offset order; the unit of work for those who read several in parallel."""
    async with aclosing(read_history(store, History(segment.path, (segment,)))) as blocks:
        async for records in blocks:
            yield records


def merged(files: Sequence[ArchiveFile]) -> Iterator[list[Record]]:
    """The records of a segment's files by offset, in lists. Raises CorruptFile.

    The files of several schemas interleave. Of the blocks at hand, everything up to the nearest end can go out.
    """
    sources = [(block for block in file.blocks() if block) for file in files]
    if len(sources) == 1:
        yield from sources[0]
        return
    held = [next(source, []) for source in sources]
    while any(held):
        bound = min(block[-1].offset for block in held if block)
        ready: list[Record] = []
        for place, block in enumerate(held):
            if block and block[0].offset <= bound:
                cut = bisect_right(block, bound, key=_offset)
                ready += block[:cut]
                held[place] = block[cut:] or next(sources[place], [])
        ready.sort(key=_offset)
        yield ready


def _within(block: list[Record], start: int, stop: int | None) -> list[Record]:
    if block and (block[0].offset < start or (stop is not None and block[-1].offset >= stop)):
        return [record for record in block if record.offset >= start and (stop is None or record.offset < stop)]
    return block


async def _fetched(
    store: ObjectStore, segments: Sequence[Manifest], ahead: int
) -> AsyncGenerator[list[ArchiveFile], None]:
    """The files of each segment in turn, the next `ahead` segments on their way meanwhile."""

    async def fetch(segment: Manifest) -> list[ArchiveFile]:
        data = await asyncio.gather(*(store.get(item.key) for item in segment.objects))
        return [read_file(whole, item.key) for whole, item in zip(data, segment.objects, strict=True)]

    waiting = list(reversed(segments))
    fetching: list[asyncio.Task[list[ArchiveFile]]] = []
    try:
        while waiting or fetching:
            while waiting and len(fetching) <= ahead:
                fetching.append(asyncio.create_task(fetch(waiting.pop())))
            yield await fetching[0]
            del fetching[0]
    finally:
        for task in fetching:
            task.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)
