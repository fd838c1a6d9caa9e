"""What is archived, told from the manifests."""

import pytest
from atlas_archive.chain.listing import partitions, paths, summaries
from atlas_archive.chain.manifests import BadManifest, PartitionPath
from atlas_archive.format.records import Record
from atlas_archive.maintenance.retention import expire
from atlas_archive.store import MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment


@pytest.fixture
async def store() -> MemoryStore:
    """Two segments of t/0, one of t/12, one of u/0."""
    store = MemoryStore()
    for topic, partition, start, count in (("t", 0, 0, 3), ("t", 0, 3, 4), ("t", 12, 0, 1), ("u", 0, 0, 2)):
        segment = Segment(PartitionPath(topic, "id", partition), start, 0, lambda _: None)
        segment.add([pack([Record(start + i, 100 + start + i, None, (), b"v") for i in range(count)])])
        await store_segment(store, segment, "w")
    return store


async def test_a_row_a_partition(store: MemoryStore) -> None:
    rows = await summaries(store)
    assert [(row.topic, row.partition, row.segments, row.records) for row in rows] == [
        ("t", 0, 2, 7),
        ("t", 12, 1, 1),
        ("u", 0, 1, 2),
    ]
    first = rows[0]
    assert (first.start_offset, first.next_offset) == (0, 7)
    assert (first.min_timestamp_ms, first.max_timestamp_ms) == (100, 106)
    assert first.size == sum(len(v) for k, v in store.objects.items() if "/t/" in k and "data/" in k and "=0/" in k)
    assert [row.topic for row in await summaries(store, "u")] == ["u"]


async def test_a_partition_counts_as_long_as_anything_of_it_is_left(store: MemoryStore) -> None:
    twelve = PartitionPath("t", "id", 12)
    await expire(store, twelve, before_ms=1000, grace_s=3600)
    assert sorted(await partitions(store, "t", "id")) == [0]
    assert await paths(store, "t") == [PartitionPath("t", "id", 0), twelve]


async def test_manifests_come_in_offset_order(store: MemoryStore) -> None:
    chains = await partitions(store, "t", "id")
    assert {p: [m.start_offset for m in chain] for p, chain in chains.items()} == {0: [0, 3], 12: [0]}
    assert await partitions(store, "t", "other") == {}


async def test_a_manifest_that_does_not_read_is_named(store: MemoryStore) -> None:
    key = PartitionPath("t", "id", 0).manifest(3)
    store.objects[key] = b"{}"
    with pytest.raises(BadManifest, match=key):
        await summaries(store)
