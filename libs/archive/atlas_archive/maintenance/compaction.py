"""Makes a few large segments of many small ones, and removes what that leaves behind.

Blocks are copied as they are, without decompressing them, and go up while they come: memory holds one of the small
files and the part of the upload that is being filled, however large what is made of them. The result is a chain of its
own, of the same kind: a compacted segment begins where the one before ended and counts once its manifest is put on the
condition that its key is free. Of two that compact at once one wins, and the other removes its files; of one that
compacts and retention, which takes a place in that chain for what it gives up, likewise.
"""

import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from atlas_avro.varints import long

from atlas_archive.chain.chains import Chain, append, chain_of, floor_of
from atlas_archive.chain.manifests import DataObject, Manifest, PartitionPath
from atlas_archive.format.container import read_file
from atlas_archive.format.outputs import container_header
from atlas_archive.maintenance.holds import holds
from atlas_archive.proof.gaps import has_gap
from atlas_archive.store import MissingObject, ObjectStore


@dataclass(slots=True)
class Compacted:
    """What a run did to one partition."""

    segments: int = 0
    into: int = 0
    removed: int = 0


async def compact(
    store: ObjectStore, path: PartitionPath, *, target_bytes: int, writer: str, grace_s: float
) -> Compacted:
    """Compact one partition; may run beside archivers, readers, retention and itself.

    1. Of the segments behind the last compacted one, all but the partition's last (which is where its writer goes on),
       take runs of at least `target_bytes`; what is left over at the end waits for more.
    2. Store the files of a run, one for each schema, then put its manifest: from here on it stands for the others.
    3. End if a floor has risen above it meanwhile: its place may have been free only because what was there has been
       given up and removed. Then it counts for nothing, and nothing may be put behind it.
    4. Remove what no longer counts and has been so for `grace_s`, so that those who read it meanwhile can end.
    Raises CorruptFile, MissingObject, BadManifest; what was done up to then stands.
    """
    done = Compacted()
    chain = await chain_of(store, path)
    for run in runs(_behind_the_chain(chain), target_bytes):  # 1
        if not await _merge(store, path, run, writer):  # 2
            break  # somebody else compacts this partition, or gives this up
        done.segments += len(run)
        done.into += 1
        if await floor_of(store, path) > run[0].start_offset:  # 3
            break
    done.removed = await sweep(store, path, grace_s=grace_s)  # 4
    return done


def _behind_the_chain(chain: Chain) -> list[Manifest]:
    """What can be compacted: up to a gap, which a segment made across it would hide."""
    found: list[Manifest] = []
    end = chain.end
    for manifest in chain.written[:-1]:
        if manifest.start_offset == end:
            found.append(manifest)
            end = manifest.next_offset
    return found


def runs(segments: Sequence[Manifest], target_bytes: int) -> Iterator[list[Manifest]]:
    """Neighbours whose sizes add up to the target, as soon as they do; one behind a gap begins a run, to stay named."""
    run: list[Manifest] = []
    for segment in segments:
        if run and has_gap(segment):
            yield run
            run = []
        run.append(segment)
        if sum(manifest.size for manifest in run) >= target_bytes:
            yield run
            run = []


async def _merge(store: ObjectStore, path: PartitionPath, run: Sequence[Manifest], writer: str) -> bool:
    """Make one segment of the run; False when another one has its place already."""
    segment = uuid.uuid4().hex
    objects = run[0].objects if len(run) == 1 else await _merge_objects(store, path, run, segment)
    ours = replace(
        run[0],
        next_offset=run[-1].next_offset,
        records=sum(manifest.records for manifest in run),
        first_offset=min((item.first_offset for item in objects), default=-1),
        last_offset=max((item.last_offset for item in objects), default=-1),
        min_timestamp_ms=min(manifest.min_timestamp_ms for manifest in run),
        max_timestamp_ms=max(manifest.max_timestamp_ms for manifest in run),
        objects=objects,
        segment=segment,
        writer=writer,
        written_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        compacted=True,
    )
    won = await append(store, ours)
    if not won and len(run) > 1:
        for item in objects:
            await store.delete(item.key)
    return won


async def _merge_objects(
    store: ObjectStore, path: PartitionPath, run: Sequence[Manifest], segment: str
) -> tuple[DataObject, ...]:
    prefix = path.compacted_data(run[0].start_offset, run[0].min_timestamp_ms)
    merged = []
    kinds = sorted({item.schema_id for manifest in run for item in manifest.objects}, key=lambda kind: kind or 0)
    for kind in kinds:
        left = [item for manifest in run for item in manifest.objects if item.schema_id == kind]
        name = f"{prefix}{segment}-{'raw' if kind is None else kind}"
        more = 0
        # Files of one schema differ in their codec where that setting was changed, raw ones in the type of header
        # names: what does not fit to the first gets a file of its own.
        while left:
            merging = _Merging(store, left)
            key = f"{name}{f'-{more}' if more else ''}.avro"
            await store.put_stream(key, merging.chunks())
            merged.append(merging.described(key, kind))
            left, more = merging.others, more + 1
    return tuple(merged)


class _Merging:
    """One file of the blocks of several of one schema, those with codec and layout of the first; `others` are left out.

    Of the files one is in memory at a time.
    """

    def __init__(self, store: ObjectStore, parts: Sequence[DataObject]) -> None:
        self._store = store
        self._parts = parts
        self._taken: list[DataObject] = []
        self._size = 0
        self._digest = hashlib.sha256()
        self.others: list[DataObject] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes in order. Raises CorruptFile, MissingObject."""
        sync = os.urandom(16)
        form = None
        for part in self._parts:
            file = read_file(await self._store.get(part.key), part.key)
            if form is None:
                form = (file.codec.name, file.schema)
                yield self._noted(container_header(file.schema, file.codec, file.metadata, sync))
            elif form != (file.codec.name, file.schema):
                self.others.append(part)
                continue
            self._taken.append(part)
            for count, packed in file.packed_blocks():
                yield self._noted(b"".join((long(count), long(len(packed)), packed, sync)))

    def described(self, key: str, kind: int | None) -> DataObject:
        """The file, once all of it has gone out."""
        return DataObject(
            key=key,
            size=self._size,
            sha256=self._digest.hexdigest(),
            schema_id=kind,
            records=sum(part.records for part in self._taken),
            first_offset=self._taken[0].first_offset,
            last_offset=self._taken[-1].last_offset,
        )

    def _noted(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        self._digest.update(chunk)
        return chunk


async def sweep(store: ObjectStore, path: PartitionPath, *, grace_s: float) -> int:
    """Remove the data of segments that no longer count, then their manifests; the number of objects removed.

    What counts instead, or the floor above them, must have stood for `grace_s`. The partition's last manifest stays,
    for it is where a writer goes on. Under a hold only what has been compacted goes: what was given up stays.
    """
    keep = bool(await holds(store, path.topic))
    chain = await chain_of(store, path)
    named = {item.key for manifest in chain.segments for item in manifest.objects}
    removed = 0
    for manifest in chain.passed:
        since = await _passed_since(store, path, chain, manifest, keep)
        if since is None or (datetime.now(UTC) - since).total_seconds() < grace_s:
            continue
        for key in [item.key for item in manifest.objects if item.key not in named]:
            await store.delete(key)
            removed += 1
        if manifest.compacted or manifest is not chain.written[-1]:
            await store.delete(manifest.key)
            removed += 1
    return removed


async def _passed_since(
    store: ObjectStore, path: PartitionPath, chain: Chain, manifest: Manifest, keep: bool
) -> datetime | None:
    """When the manifest ceased to count; None while it must stay."""
    if not manifest.compacted and (larger := chain.standing_for(manifest.start_offset)) is not None:
        return datetime.fromisoformat(larger.written_at)
    # A stray that reaches across the floor stays until that has passed all of it: in an archive from before there were
    # reservations it may be the only one to have what lies above.
    if keep or manifest.next_offset > chain.floor:
        return None
    try:
        placed = (await store.get(f"{path.floors}{chain.floor:020d}.json")).decode()
    except MissingObject:  # taken back: somebody has placed a hold
        return None
    return datetime.fromisoformat(placed)
