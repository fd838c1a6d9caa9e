"""What the archive holds, from its manifests alone: nothing is read but them."""

from collections.abc import Sequence
from dataclasses import dataclass

from atlas_archive.chain.chains import chains
from atlas_archive.chain.manifests import Manifest, PartitionPath, topics
from atlas_archive.store import ObjectStore


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """One partition of one incarnation; `size` in bytes, timestamps in epoch ms."""

    topic: str
    incarnation: str
    partition: int
    segments: int
    records: int
    size: int
    start_offset: int
    next_offset: int
    min_timestamp_ms: int
    max_timestamp_ms: int


async def summaries(store: ObjectStore, topic: str | None = None) -> list[PartitionSummary]:
    """Every archived partition, or those of one topic, by topic, incarnation and partition."""
    rows: list[PartitionSummary] = []
    async for name, incarnation in topics(store):
        if topic is None or name == topic:
            rows += [_summary(manifests) for manifests in (await partitions(store, name, incarnation)).values()]
    return rows


async def paths(store: ObjectStore, topic: str) -> list[PartitionPath]:
    """Every partition of a topic of which anything is left, also where all of it was given up. Raises BadManifest."""
    return [
        PartitionPath(name, incarnation, partition)
        async for name, incarnation in topics(store)
        if name == topic
        for partition in await chains(store, name, incarnation)
    ]


async def partitions(store: ObjectStore, topic: str, incarnation: str) -> dict[int, list[Manifest]]:
    """The segments that count of an incarnation, by partition and in offset order. Raises BadManifest."""
    return {
        partition: chain
        for partition, found in (await chains(store, topic, incarnation)).items()
        if (chain := found.segments)
    }


def _summary(manifests: Sequence[Manifest]) -> PartitionSummary:
    first, last = manifests[0], manifests[-1]
    return PartitionSummary(
        topic=first.topic,
        incarnation=first.incarnation,
        partition=first.partition,
        segments=len(manifests),
        records=sum(manifest.records for manifest in manifests),
        size=sum(manifest.size for manifest in manifests),
        start_offset=first.start_offset,
        next_offset=last.next_offset,
        min_timestamp_ms=min(manifest.min_timestamp_ms for manifest in manifests),
        max_timestamp_ms=max(manifest.max_timestamp_ms for manifest in manifests),
    )
