"""What is read of the archive, and that it is read once."""

import pytest
from atlas_archive.chain.manifests import BadManifest, DataObject, Manifest, PartitionPath, commit
from atlas_archive.proof.gaps import state_known
from atlas_archive.store import MemoryStore
from atlas_ledger.books import Books, TooManySegments

PATH = PartitionPath("t", "id-1", 2)


class Watched(MemoryStore):
    """Counts the manifests that are read."""

    gets = 0

    async def get(self, key: str) -> bytes:
        self.gets += 1
        return await super().get(key)


def manifest(start: int, stop: int, *, first: int | None = None, compacted: bool = False) -> Manifest:
    records = stop - (start if first is None else first)
    item = DataObject(PATH.data(start, 0) + "x-raw.avro", 1, "00", None, records, start, stop - 1)
    return Manifest(
        *("t", "id-1", 2, start, stop, records, start, stop - 1, 0, 0, start if first is None else first),
        objects=(item,),
        segment=f"s{start}",
        writer="w",
        written_at="2026-01-01T00:00:00.000+00:00",
        compacted=compacted,
    )


async def test_a_segment_is_read_once() -> None:
    store = Watched()
    books = Books(store)
    assert (await books.read(PATH)).stop == 0
    for start in (0, 10, 20):
        await commit(store, manifest(start, start + 10))
    assert (await books.read(PATH)).records == 30
    read = store.gets
    await commit(store, manifest(30, 35))
    found = await books.read(PATH)
    assert (found.stop, found.records, found.lacks()) == (35, 35, [])
    assert store.gets == read + 1


async def test_compaction_changes_nothing_that_is_counted() -> None:
    store = Watched()
    for start in (0, 10, 20):
        await commit(store, manifest(start, start + 10))
    await commit(store, manifest(0, 20, compacted=True))
    books = Books(store)
    found = await books.read(PATH)
    assert (found.stop, found.records, len(found.segments)) == (30, 30, 2)
    del store.objects[PATH.manifest(0)], store.objects[PATH.manifest(10)]
    assert (await books.read(PATH)).records == 30
    assert (await Books(store).read(PATH)).records == 30


async def test_a_manifest_that_is_gone_is_a_hole_once_all_is_read_again() -> None:
    store = Watched()
    for start in (0, 10, 20):
        await commit(store, manifest(start, start + 10))
    books = Books(store, whole_every_s=0)
    assert (await books.read(PATH)).lacks() == []
    del store.objects[PATH.manifest(10)]
    assert (await books.read(PATH)).unaccepted() == [(10, 20)]


async def test_a_gap_is_there_until_somebody_accepts_it() -> None:
    store = Watched()
    gap = manifest(10, 30, first=25)
    await commit(store, manifest(0, 10))
    await commit(store, gap)
    books = Books(store)
    assert (await books.read(PATH)).unaccepted() == [(10, 25)]
    await state_known(store, PATH, [gap], "known")
    found = await books.read(PATH)
    assert (found.lacks(), found.unaccepted()) == ([(10, 25)], [])


async def test_the_cost_is_bounded() -> None:
    store = Watched()
    for start in (0, 10, 20):
        await commit(store, manifest(start, start + 10))
    with pytest.raises(TooManySegments, match="more than 2 segments"):
        await Books(store, manifests_max=2).read(PATH)
    assert store.gets == 0


async def test_what_does_not_read_is_said() -> None:
    store = Watched()
    store.objects[PATH.manifest(0)] = b"?"
    with pytest.raises(BadManifest):
        await Books(store).read(PATH)


async def test_partitions_that_are_gone_are_forgotten() -> None:
    store = Watched()
    await commit(store, manifest(0, 10))
    books = Books(store)
    await books.read(PATH)
    books.forget_others([])
    read = store.gets
    await books.read(PATH)
    assert store.gets > read
