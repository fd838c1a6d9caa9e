"""Offsets that were gone from a topic before they were archived, and the statements that this is known.

    topics/<topic>/<incarnation>/known-gaps/partition=0/<start>-<next>.json

A gap is in the manifest of the segment that comes after it: the segment begins where the one before ended, and the log
began later. Whoever lets an archive begin later than its topic says so with a statement; it is for those offsets alone,
so that a later gap is a fault again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson

from atlas_archive.manifests import BadManifest, Manifest, PartitionPath, incarnation_root
from atlas_archive.store import ObjectStore

_FOLDER = "known-gaps/"


@dataclass(frozen=True, slots=True)
class KnownGap:
    """That [start_offset, next_offset) of a partition is not archived, and why; `stated_at` in RFC 3339."""

    partition: int
    start_offset: int
    next_offset: int
    reason: str
    stated_at: str

    def covers(self, manifest: Manifest) -> bool:
        """Whether the gap before this segment is this one."""
        start, end = manifest.start_offset, manifest.log_start_offset
        return manifest.partition == self.partition and self.start_offset <= start and end <= self.next_offset


def has_gap(manifest: Manifest) -> bool:
    """Whether offsets before this segment's first were gone already."""
    return manifest.log_start_offset > manifest.start_offset


def complete_from(segments: Sequence[Manifest]) -> int:
    """The offset from which on nothing was gone before it was archived; of at least one segment."""
    return max([segments[0].start_offset, *(each.log_start_offset for each in segments if has_gap(each))])


async def known_gaps(store: ObjectStore, topic: str, incarnation: str) -> list[KnownGap]:
    """Every statement about an incarnation. Raises BadManifest for one that does not read."""
    found = []
    async for item in store.list(f"{incarnation_root(topic, incarnation)}{_FOLDER}"):
        try:
            found.append(KnownGap(**orjson.loads(await store.get(item.key))))
        except (ValueError, TypeError) as error:
            raise BadManifest(item.key, f"does not read as a statement about a gap: {error}") from error
    return found


async def state_known(
    store: ObjectStore, path: PartitionPath, segments: Sequence[Manifest], reason: str
) -> list[KnownGap]:
    """State that the gaps of these segments of the partition are known; gives those that were not stated before."""
    before = await known_gaps(store, path.topic, path.incarnation)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    stated = []
    for manifest in filter(has_gap, segments):
        if any(known.covers(manifest) for known in before):
            continue
        gap = KnownGap(path.partition, manifest.start_offset, manifest.log_start_offset, reason, now)
        name = f"{gap.start_offset:020d}-{gap.next_offset:020d}.json"
        await store.put_if_absent(
            f"{path.root}{_FOLDER}partition={path.partition}/{name}",
            orjson.dumps(asdict(gap), option=orjson.OPT_INDENT_2),
        )
        stated.append(gap)
    return stated
