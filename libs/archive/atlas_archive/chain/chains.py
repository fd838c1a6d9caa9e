"""Which segments of a partition count, once some have been compacted into others and some given up.

Beside the chain of written segments stands a second one, of compacted segments and of retention's reservations, each
from where the one before ended. A compacted segment stands for the written ones that begin in it, whether their
manifests are still there or not; a reservation says that none will stand for those that begin in it, so they count
until the floor passes them. Below the floor nothing counts; it lies where an element of the second chain ends.

So what is put too late, at a place whose own manifest is gone by now, changes nothing: a written segment lies in a
compacted one or below the floor, a compacted one or a reservation below the floor. Who put it finds out.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from atlas_archive.chain.manifests import (
    BadManifest,
    Manifest,
    PartitionPath,
    commit,
    get_manifest,
    incarnation_root,
    offset_of,
)
from atlas_archive.store import MissingObject, ObjectStore

_PARALLEL = 16
_TRIES = 5

# The manifest at a key, None when it is gone.
GetManifest = Callable[[str], Awaitable[Manifest | None]]


@dataclass(slots=True)
class Chain:
    """What there is of one partition: manifests in offset order, and the floor (0: nothing was given up)."""

    written: list[Manifest] = field(default_factory=list)
    compacted: list[Manifest] = field(default_factory=list)
    floor: int = 0

    @property
    def elements(self) -> list[Manifest]:
        """The compacted segments and reservations that count, each from where the one before ended."""
        return [manifest for manifest in self.compacted if manifest.start_offset >= self.floor]

    @property
    def end(self) -> int:
        """Where the next compacted segment or reservation begins."""
        return max([self.floor, *(manifest.next_offset for manifest in self.elements)])

    @property
    def segments(self) -> list[Manifest]:
        """Those that count, in offset order."""
        elements = self.elements
        counting = [manifest for manifest in elements if not manifest.given_up]
        counting += [
            manifest
            for manifest in self.written
            if manifest.start_offset >= self.floor and _standing(elements, manifest.start_offset) is None
        ]
        return sorted(counting, key=_start)

    @property
    def passed(self) -> list[Manifest]:
        """Those that no longer count: their data may go, and all of their manifests but the last of the partition."""
        kept = {manifest.key for manifest in (*self.elements, *self.segments)}
        return [manifest for manifest in (*self.compacted, *self.written) if manifest.key not in kept]

    @property
    def torn(self) -> bool:
        """Whether a reservation reaches past the written segments, so that some of those it is on are missing here."""
        written = self.written[-1].next_offset if self.written else 0
        return any(manifest.given_up and manifest.next_offset > written for manifest in self.elements)

    def standing_for(self, start_offset: int) -> Manifest | None:
        """The compacted segment that stands for a written one that begins there."""
        return _standing(self.elements, start_offset)


def _start(manifest: Manifest) -> int:
    return manifest.start_offset


def _standing(elements: Sequence[Manifest], start_offset: int) -> Manifest | None:
    at = bisect_right(elements, start_offset, key=_start) - 1
    if at < 0 or elements[at].given_up or elements[at].next_offset <= start_offset:
        return None
    return elements[at]


async def chains(store: ObjectStore, topic: str, incarnation: str, get: GetManifest | None = None) -> dict[int, Chain]:
    """The chains of an incarnation, by partition, whoever changes them meanwhile. Raises BadManifest."""
    root = incarnation_root(topic, incarnation)
    return await _read(store, (f"{root}manifest/", f"{root}compacted/", f"{root}floor/"), get)


async def chain_of(store: ObjectStore, path: PartitionPath) -> Chain:
    """The chain of one partition, whoever changes it meanwhile. Raises BadManifest."""
    found = await _read(store, (path.manifests, path.compacted, path.floors), None)
    return found.get(path.partition, Chain())


async def floor_of(store: ObjectStore, path: PartitionPath) -> int:
    """`Chain.floor`, from a listing."""
    return max([offset_of(item.key) async for item in store.list(path.floors)], default=0)


async def place_of(store: ObjectStore, path: PartitionPath, start_offset: int) -> tuple[int, Manifest | None]:
    """The floor and `Chain.standing_for(start_offset)`, from as few requests as that takes. Raises BadManifest."""
    before = [key async for key in _keys(store, path.compacted) if offset_of(key) <= start_offset]
    last = await _get(store, before[-1]) if before else None
    floor = await floor_of(store, path)  # after it: where the compacted segment is gone by now, it says so
    return floor, Chain(compacted=[last] if last else [], floor=floor).standing_for(start_offset)


async def append(store: ObjectStore, element: Manifest) -> bool:
    """Put it at the end of the compacted chain, where it begins; False when another one has the place.

    It does not count if a floor lies above its start: then its place may have been free only because what was there has
    been given up and removed. Nothing may be put behind it before that has been looked at.
    """
    try:
        return (await commit(store, element)).segment == element.segment
    except MissingObject:  # another one's, given up and removed since
        return False


async def _read(store: ObjectStore, prefixes: tuple[str, str, str], get: GetManifest | None) -> dict[int, Chain]:
    """Written segments, then compacted ones, then floors: what makes up for a manifest is put before that is removed.

    So one that has gone since it was listed, or has another in its place, is accounted for by what is read later. But
    the lists can be torn: where segments were written, reserved, and others behind them compacted between the first
    list and the second, those reserved are missing. Then all is read again.
    """
    for _ in range(_TRIES - 1):
        found = await _read_once(store, prefixes, get)
        if not any(chain.torn for chain in found.values()):
            return found
    return await _read_once(store, prefixes, get)


async def _read_once(store: ObjectStore, prefixes: tuple[str, str, str], get: GetManifest | None) -> dict[int, Chain]:
    manifests: list[Manifest] = []
    for prefix in prefixes[:2]:
        manifests += await _load(store, [key async for key in _keys(store, prefix)], get)
    return assemble(manifests, [key async for key in _keys(store, prefixes[2])])


async def _load(store: ObjectStore, keys: Sequence[str], get: GetManifest | None) -> list[Manifest]:
    """The manifests at these keys that are still there, several at a time. Raises BadManifest."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(key: str) -> Manifest | None:
        async with gate:
            return await (get(key) if get is not None else _get(store, key))

    return [manifest for manifest in await asyncio.gather(*map(one, keys)) if manifest is not None]


async def _get(store: ObjectStore, key: str) -> Manifest | None:
    with suppress(MissingObject):
        return await get_manifest(store, key)
    return None


async def _keys(store: ObjectStore, prefix: str) -> AsyncIterator[str]:
    async for item in store.list(prefix):
        yield item.key


def assemble(manifests: Sequence[Manifest], floors: Sequence[str]) -> dict[int, Chain]:
    """Chains of the manifests and floor keys of one incarnation."""
    found: dict[int, Chain] = {}
    for manifest in sorted(manifests, key=lambda manifest: (manifest.partition, manifest.start_offset)):
        chain = found.setdefault(manifest.partition, Chain())
        (chain.compacted if manifest.compacted else chain.written).append(manifest)
    for key in floors:
        name = key.rsplit("/", 2)[1].removeprefix("partition=")
        if not (name.isascii() and name.isdigit()):
            raise BadManifest(key, "no floor has such a key")
        partition = int(name)
        chain = found.setdefault(partition, Chain())
        chain.floor = max(chain.floor, offset_of(key))
    return found
