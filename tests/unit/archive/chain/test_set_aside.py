"""What may be set aside, and that its bytes stay."""

from dataclasses import replace

import pytest
from atlas_archive.chain.manifests import Manifest, PartitionPath, last_manifest
from atlas_archive.chain.set_aside import NotInTheWay, look_at, set_aside
from atlas_archive.format.records import Record
from atlas_archive.store import MemoryStore, MissingObject
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment
from hypothesis import given
from hypothesis import strategies as st

PATH = PartitionPath("t", "id-1", 0)


async def _stored(store: MemoryStore) -> Manifest:
    segment = Segment(PATH, 0, 0, lambda _: None)
    segment.add([pack([Record(0, 0, b"k", (), b"v")])])
    return (await store_segment(store, segment, "w")).manifest


@given(name=st.text("0123456789xyz./ ", min_size=1, max_size=30), data=st.binary(max_size=50))
async def test_whatever_does_not_read_goes_and_its_bytes_stay(name: str, data: bytes) -> None:
    store = MemoryStore()
    key = PATH.manifests + name
    store.objects[key] = data
    found = await set_aside(store, key)
    assert store.objects == {found.moves_to: data}
    assert found.bytes == len(data)
    assert await last_manifest(store, PATH) is None


async def test_what_reads_stays_unless_it_is_wanted_away() -> None:
    store = MemoryStore()
    manifest = await _stored(store)
    with pytest.raises(NotInTheWay, match="reads as it should"):
        await set_aside(store, manifest.key)
    assert await last_manifest(store, PATH) == manifest
    store.objects[manifest.key] = replace(manifest, next_offset=10**15).to_json()
    assert (await look_at(store, manifest.key, anyway=True)).reason.startswith("reads well")
    await set_aside(store, manifest.key, anyway=True)
    assert await last_manifest(store, PATH) is None


async def test_a_file_of_records_is_never_set_aside() -> None:
    store = MemoryStore()
    manifest = await _stored(store)
    before = dict(store.objects)
    for key in (manifest.objects[0].key, "topics/t/id-1/schemas/1.avsc", "holds/t/h.json", "x", "topics/t"):
        with pytest.raises(NotInTheWay, match="not the place of a manifest"):
            await set_aside(store, key, anyway=True)
    with pytest.raises(MissingObject):
        await set_aside(store, PATH.manifest(7))
    assert store.objects == before
