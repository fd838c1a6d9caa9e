"""Which segments count, told from manifests and floors alone."""

from dataclasses import replace

from atlas_archive.chains import Chain, assemble, chain_of, chains, fence_of
from atlas_archive.manifests import DataObject, Manifest, PartitionPath, commit
from atlas_archive.store import MemoryStore

PATH = PartitionPath("t", "id-1", 2)


def segment(start: int, next_offset: int, *, compacted: bool = False) -> Manifest:
    item = DataObject(PATH.data(start, 0) + "x-raw.avro", 1, "00", None, 1, start, start)
    return Manifest(
        *("t", "id-1", 2, start, next_offset, 1, start, next_offset - 1, 0, 0, 0),
        objects=(item,),
        segment=f"s{start}",
        writer="w",
        written_at="2026-01-01T00:00:00.000+00:00",
        compacted=compacted,
    )


def ranges(manifests: list[Manifest]) -> list[tuple[int, int]]:
    return [(manifest.start_offset, manifest.next_offset) for manifest in manifests]


WRITTEN = [segment(start, start + 10) for start in range(0, 50, 10)]


def test_a_compacted_segment_stands_for_those_below_its_end() -> None:
    chain = Chain(WRITTEN, [segment(0, 20, compacted=True)])
    assert ranges(chain.segments) == [(0, 20), (20, 30), (30, 40), (40, 50)]
    assert ranges(chain.passed) == [(0, 10), (10, 20)]
    assert chain.fence == 20


def test_one_put_there_later_does_not_count() -> None:
    ghost = segment(10, 35)
    chain = Chain([ghost, *WRITTEN[2:]], [segment(0, 20, compacted=True)])
    assert ranges(chain.segments) == [(0, 20), (20, 30), (30, 40), (40, 50)]
    assert chain.passed == [ghost]


def test_below_the_floor_nothing_counts() -> None:
    chain = Chain(WRITTEN, [segment(0, 20, compacted=True)], floor=30)
    assert ranges(chain.segments) == [(30, 40), (40, 50)]
    assert ranges(chain.passed) == [(0, 20), (0, 10), (10, 20), (20, 30)]


async def test_from_a_store() -> None:
    store = MemoryStore()
    compacted = segment(0, 20, compacted=True)
    assert compacted.key == "topics/t/id-1/compacted/partition=2/00000000000000000000.json"
    assert await fence_of(store, PATH) == 0
    for manifest in (*WRITTEN, compacted, replace(segment(0, 5), partition=1)):
        await commit(store, manifest)
    assert await fence_of(store, PATH) == 20
    await store.put(PATH.floors + f"{10:020d}.json", [b"x"])
    await store.put(PATH.floors + f"{30:020d}.json", [b"x"])
    assert await fence_of(store, PATH) == 30
    chain = await chain_of(store, PATH)
    assert (chain.floor, ranges(chain.segments)) == (30, [(30, 40), (40, 50)])
    both = await chains(store, "t", "id-1")
    assert both[2] == chain
    assert ranges(both[1].segments) == [(0, 5)]


def test_a_floor_alone_is_a_chain_without_segments() -> None:
    found = assemble([], [PATH.floors + f"{30:020d}.json"])
    assert found[2].segments == []
