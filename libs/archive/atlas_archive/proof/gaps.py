"""Offsets that were gone from a topic before they were archived, and the statements that this is known.

    topics/<topic>/<incarnation>/known-gaps/partition=0/<start>-<next>.json

A gap is in the manifest of the segment that comes after it: the segment begins where the one before ended, and the log
began later. Or it is a topic's end, which was not archived when the topic was deleted (ends.py). Whoever lets an
archive begin later than its topic, or end before it, says so with a statement; it is for those offsets alone, so that a
later gap is a fault again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson

from atlas_archive.chain.chains import chains
from atlas_archive.chain.ends import Hole, ends, holes
from atlas_archive.chain.manifests import BadManifest, Manifest, PartitionPath, incarnation_root, topics
from atlas_archive.proof.reports import TopicReport
from atlas_archive.store import ObjectStore

_FOLDER = "known-gaps/"


@dataclass(frozen=True, slots=True)
class KnownGap:
    """That [start_offset, next_offset) of a partition is not archived, and why; `stated_at` in RFC 3339.

    Where the two are one, what follows there, of a topic that was deleted, is not known.
    """

    partition: int
    start_offset: int
    next_offset: int
    reason: str
    stated_at: str

    def told(self) -> str:
        """The offsets, as people write them."""
        if self.start_offset == self.next_offset:
            return f"from {self.start_offset} on"
        return f"{self.start_offset} - {self.next_offset - 1}"

    def covers(self, manifest: Manifest) -> bool:
        """Whether the gap before this segment is this one."""
        return self._covers(manifest.partition, manifest.start_offset, manifest.log_start_offset)

    def covers_end(self, hole: Hole) -> bool:
        """Whether what was not archived at the end is this; where its end is not known, exactly what begins there."""
        if hole.end is None:
            return (self.partition, self.start_offset, self.next_offset) == (hole.partition, hole.start, hole.start)
        return self._covers(hole.partition, hole.start, hole.end)

    def _covers(self, partition: int, start: int, end: int) -> bool:
        return partition == self.partition and self.start_offset <= start and end <= self.next_offset


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
    store: ObjectStore, path: PartitionPath, segments: Sequence[Manifest], reason: str, ends: Sequence[Hole] = ()
) -> list[KnownGap]:
    """State that the gaps of these segments of the partition are known, and what lacks at its end; gives those that
    were not stated before.
    """
    before = await known_gaps(store, path.topic, path.incarnation)
    gaps = [
        (each.start_offset, each.log_start_offset)
        for each in filter(has_gap, segments)
        if not any(known.covers(each) for known in before)
    ]
    gaps += [
        (hole.start, hole.start if hole.end is None else hole.end)
        for hole in ends
        if hole.partition == path.partition and not any(known.covers_end(hole) for known in before)
    ]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    stated = [KnownGap(path.partition, start, end, reason, now) for start, end in gaps]
    for gap in stated:
        name = f"{gap.start_offset:020d}-{gap.next_offset:020d}.json"
        await store.put_if_absent(
            f"{path.root}{_FOLDER}partition={path.partition}/{name}",
            orjson.dumps(asdict(gap), option=orjson.OPT_INDENT_2),
        )
    return stated


async def name_ends(
    store: ObjectStore,
    report: TopicReport,
    incarnation: str,
    archived: Mapping[int, int],
    known: Sequence[KnownGap],
    *,
    offline: bool,
) -> None:
    """Report what is not archived of the end of a topic that was deleted; `archived`: by partition, the archive's end.

    `offline`: nobody can tell whether it was deleted, unless an archiver said so.
    """
    stated = await ends(store, report.topic, incarnation)
    for hole in holes(stated, archived):
        if hole.end is None and offline:
            continue
        text = f"{hole.told(report.topic)} (topic id {incarnation})"
        found = next((each for each in known if each.covers_end(hole)), None)
        if found is not None:
            report.notes.append(f"{text}, which is known since {found.stated_at}: {found.reason}")
        else:
            report.problems.append(f"{text}; where that is meant, say so: atlas archive accept {report.topic}")


async def accept(
    store: ObjectStore, topic: str, present: str | None, reason: str
) -> list[tuple[PartitionPath, list[KnownGap]]]:
    """State that all that is missing of a topic now is known, in every incarnation; by partition, what was stated.

    `present`: the id of the topic that is there, whose end is still to come. Raises BadManifest.
    """
    stated = []
    async for name, incarnation in topics(store):
        if name != topic:
            continue
        found = await chains(store, topic, incarnation)
        segments = {partition: chain.segments for partition, chain in found.items()}
        archived = {partition: each[-1].next_offset for partition, each in segments.items() if each}
        lacking = holes(await ends(store, topic, incarnation), archived) if incarnation != present else []
        for partition in sorted({*segments, *(hole.partition for hole in lacking)}):
            path = PartitionPath(topic, incarnation, partition)
            stated.append((path, await state_known(store, path, segments.get(partition, []), reason, lacking)))
    return stated
