"""Which segments of a partition count, once some have been compacted into others and some given up.

A compacted segment stands for the written ones that begin below its end, whether their manifests are still there or
not; below a floor nothing counts. So a manifest that a writer puts after it was taken for dead, at a place whose own
manifest is gone by now, changes nothing: `store_segment` finds out and takes it back.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from atlas_archive.manifests import Manifest, PartitionPath, get_manifest, incarnation_root, offset_of
from atlas_archive.store import ObjectStore

_PARALLEL = 16


@dataclass(slots=True)
class Chain:
    """What there is of one partition: manifests in offset order, and the floor (0: nothing was given up)."""

    written: list[Manifest] = field(default_factory=list)
    compacted: list[Manifest] = field(default_factory=list)
    floor: int = 0

    @property
    def fence(self) -> int:
        """Written segments that begin before it do not count."""
        return max(self.floor, max((manifest.next_offset for manifest in self.compacted), default=0))

    @property
    def segments(self) -> list[Manifest]:
        """Those that count, in offset order."""
        compacted = [manifest for manifest in self.compacted if manifest.next_offset > self.floor]
        return compacted + [manifest for manifest in self.written if manifest.start_offset >= self.fence]

    @property
    def passed(self) -> list[Manifest]:
        """Those that no longer count: their data may go, and all of their manifests but the last of the partition."""
        kept = {manifest.key for manifest in self.segments}
        return [manifest for manifest in (*self.compacted, *self.written) if manifest.key not in kept]


async def chains(store: ObjectStore, topic: str, incarnation: str) -> dict[int, Chain]:
    """The chains of an incarnation, by partition. Raises BadManifest, MissingObject."""
    root = incarnation_root(topic, incarnation)
    floors = [item.key async for item in store.list(f"{root}floor/")]
    compacted = [item.key async for item in store.list(f"{root}compacted/")]
    written = [item.key async for item in store.list(f"{root}manifest/")]
    return assemble(await load(store, [*compacted, *written]), floors)


async def chain_of(store: ObjectStore, path: PartitionPath) -> Chain:
    """The chain of one partition. Raises BadManifest, MissingObject."""
    floors = [item.key async for item in store.list(path.floors)]
    compacted = [item.key async for item in store.list(path.compacted)]
    written = [item.key async for item in store.list(path.manifests)]
    return assemble(await load(store, [*compacted, *written]), floors).get(path.partition, Chain())


async def fence_of(store: ObjectStore, path: PartitionPath) -> int:
    """`Chain.fence`, from as few requests as that takes."""
    fence = max([offset_of(item.key) async for item in store.list(path.floors)], default=0)
    compacted = [item.key async for item in store.list(path.compacted)]
    return max(fence, (await get_manifest(store, compacted[-1])).next_offset) if compacted else fence


async def load(store: ObjectStore, keys: Sequence[str]) -> list[Manifest]:
    """The manifests at these keys, several at a time. Raises BadManifest, MissingObject."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(key: str) -> Manifest:
        async with gate:
            return await get_manifest(store, key)

    return list(await asyncio.gather(*(one(key) for key in keys)))


def assemble(manifests: Sequence[Manifest], floors: Sequence[str]) -> dict[int, Chain]:
    """Chains of the manifests and floor keys of one incarnation."""
    found: dict[int, Chain] = {}
    for manifest in sorted(manifests, key=lambda manifest: (manifest.partition, manifest.start_offset)):
        chain = found.setdefault(manifest.partition, Chain())
        (chain.compacted if manifest.compacted else chain.written).append(manifest)
    for key in floors:
        partition = int(key.rsplit("/", 2)[1].removeprefix("partition="))
        chain = found.setdefault(partition, Chain())
        chain.floor = max(chain.floor, offset_of(key))
    return found
