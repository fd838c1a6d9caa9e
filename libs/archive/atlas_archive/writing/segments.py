"""A segment: an offset range of one partition, from the first record added to the manifest that makes it count."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from atlas_archive.chain.chains import place_of
from atlas_archive.chain.manifests import (
    DataObject,
    Manifest,
    PartitionPath,
    commit,
    get_manifest,
    last_manifest,
)
from atlas_archive.format.outputs import Finished
from atlas_archive.store import MissingObject, ObjectStore
from atlas_archive.writing.batches import Batch
from atlas_archive.writing.splicer import Splicer
from atlas_archive.writing.steps import Work

SchemaText = Callable[[int], str | None]
_FOUND_MAX = 1_000  # of one segment


@dataclass(frozen=True, slots=True)
class Options:
    """How files are written: an Avro codec, bytes of a block before it, whether bodies are checked, who compresses.

    What `find` finds in the blocks of a segment, before they are compressed, is in its `found`, as much as is kept.
    """

    codec: str = "zstandard"
    block_bytes: int = 256 * 1024
    check_values: bool = True
    workers: Executor | None = None
    find: Callable[[bytes], Sequence[str]] | None = None


class Segment:
    """Holds the records of [start_offset, next_offset) until `store_segment`; `size` is the memory they take."""

    def __init__(
        self,
        path: PartitionPath,
        start_offset: int,
        log_start_offset: int,
        schema_text: SchemaText,
        options: Options | None = None,
    ) -> None:
        options = options or Options()
        self.path = path
        self.start_offset = self.next_offset = start_offset
        self.log_start_offset = log_start_offset
        self.schema_text = schema_text
        self.id = uuid.uuid4().hex
        metadata = {"topic": path.topic, "incarnation": path.incarnation, "partition": str(path.partition)}
        self.found: list[str] = []
        self._files: list[Finished] | None = None
        self._splicer = Splicer(
            schema_text,
            metadata=metadata,
            codec=options.codec,
            block_bytes=options.block_bytes,
            check=options.check_values,
            workers=options.workers,
        )
        if options.find is not None:
            self._splicer.look = partial(self._keep, options.find)

    def _keep(self, find: Callable[[bytes], Sequence[str]], block: bytes) -> None:
        if len(self.found) < _FOUND_MAX:
            self.found += find(block)[: _FOUND_MAX - len(self.found)]

    @property
    def records(self) -> int:
        return self._splicer.records

    @property
    def size(self) -> int:
        return self._splicer.size

    @property
    def first_timestamp(self) -> int:
        """That of the first record, epoch ms; -1 before there is one."""
        return self._splicer.first_timestamp

    @property
    def timestamps(self) -> tuple[int, int]:
        """The least and the greatest, epoch ms."""
        return self._splicer.min_timestamp, self._splicer.max_timestamp

    def add(self, batches: Sequence[Batch]) -> None:
        """Add batches in offset order. Raises ValueError for one that begins before `next_offset`."""
        for work in self.steps(batches):
            if work is not None:
                work()

    def steps(self, batches: Sequence[Batch]) -> Iterator[Work | None]:
        """The same in short steps; see Splicer.steps. A segment that was left in the middle is of no use any more."""
        if not batches:
            return
        if batches[0].start_offset < self.next_offset:
            raise ValueError(f"offset {batches[0].start_offset} comes after {self.next_offset - 1}")
        yield from self._splicer.steps(batches)
        self.next_offset = batches[-1].offset + 1

    def finish(self) -> list[Finished]:
        """The segment's files; nothing can be added after. Takes some time when first called."""
        if self._files is None:
            self._files = self._splicer.finish()
        return self._files


@dataclass(frozen=True, slots=True)
class Stored:
    """What came of a segment: `manifest` holds its place in the archive, and is its own only if `won`."""

    manifest: Manifest
    won: bool


async def store_segment(store: ObjectStore, segment: Segment, writer: str) -> Stored:
    """Make a segment with records durable, once, whoever else tries. Can be called again after an error.

    1. Look whether its place is taken, as it is for a writer that was paused while another went on.
    2. Store the schemas its files refer to, then its files, under names of its own.
    3. Put the manifest on the condition that its key is free: from here on the segment counts.
    4. Take it back if a compacted segment stands for it: its place was taken, and compaction has removed the manifest
       that was there. Below the floor it was taken too, or has been given up since: then sweeping removes it, when the
       floor has stood for long enough. Neither is so of the partition's last: its place was free, and the floor has
       passed it since, as it does where all that there is has been given up.
    5. Remove the files of this place that the manifest does not name: our own if we lost, and what writers that
       crashed before 3 left. Safe only now: as long as the place is free, such a file may belong to a slow writer
       that is about to win.
    After an error the archive says whether the segment counts (`last_manifest`).
    """
    path = segment.path
    try:
        taken = await get_manifest(store, path.manifest(segment.start_offset))  # 1
        return Stored(taken, won=taken.segment == segment.id)
    except MissingObject:
        pass
    objects = []
    for file in segment.finish():  # 2
        if file.schema_id is not None and (text := segment.schema_text(file.schema_id)) is not None:
            await store.put_if_absent(path.schema(file.schema_id), text.encode())
        key = f"{path.data(segment.start_offset, segment.first_timestamp)}{segment.id}-{file.kind}.avro"
        await store.put(key, file.chunks)
        objects.append(_data_object(key, file))
    ours = _manifest(segment, tuple(objects), writer)
    winner = await commit(store, ours)  # 3
    won = winner.segment == segment.id
    if won and (last := await _passed_by(store, ours)) is not None:  # 4
        return Stored(last, won=False)
    await _sweep(store, segment, winner)  # 5
    return Stored(winner, won=won)


async def _passed_by(store: ObjectStore, ours: Manifest) -> Manifest | None:
    """The partition's end, if a segment that was just put does not count; None when it does.

    If it did count until it was compacted, which a slow writer finds out here, what was made of it may name its files.
    """
    floor, larger = await place_of(store, ours.path, ours.start_offset)
    if larger is None and floor <= ours.start_offset:
        return None
    last = await last_manifest(store, ours.path)
    if last is None or last.segment == ours.segment:
        return None
    if larger is not None:
        await store.delete(ours.key)
        named = {item.key for item in larger.objects}
        for item in ours.objects:
            if item.key not in named:
                await store.delete(item.key)
    return last


def _data_object(key: str, file: Finished) -> DataObject:
    return DataObject(key, file.size, file.sha256, file.schema_id, file.records, file.first_offset, file.last_offset)


def _manifest(segment: Segment, objects: tuple[DataObject, ...], writer: str) -> Manifest:
    return Manifest(
        topic=segment.path.topic,
        incarnation=segment.path.incarnation,
        partition=segment.path.partition,
        start_offset=segment.start_offset,
        next_offset=segment.next_offset,
        records=segment.records,
        first_offset=min((item.first_offset for item in objects), default=-1),
        last_offset=max((item.last_offset for item in objects), default=-1),
        min_timestamp_ms=segment.timestamps[0],
        max_timestamp_ms=segment.timestamps[1],
        log_start_offset=segment.log_start_offset,
        objects=objects,
        segment=segment.id,
        writer=writer,
        written_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


async def _sweep(store: ObjectStore, segment: Segment, manifest: Manifest) -> None:
    named = {item.key for item in manifest.objects}
    prefix = segment.path.data(segment.start_offset, segment.first_timestamp)
    for key in [item.key async for item in store.list(prefix) if item.key not in named]:
        await store.delete(key)
