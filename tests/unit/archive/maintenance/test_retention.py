"""Giving up: only what is old, only at the beginning, never under a hold, and nothing else changes."""

import pytest
from atlas_archive.chain.chains import chain_of
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.format.records import Record
from atlas_archive.history import histories, read_history
from atlas_archive.maintenance.compaction import compact, sweep
from atlas_archive.maintenance.holds import UnderHold, holds, place_hold, release_hold
from atlas_archive.maintenance.retention import expire
from atlas_archive.proof.verify import verify
from atlas_archive.store import MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment

PATH = PartitionPath("t", "id-1", 0)
TOPIC = [Record(i, 1000 + i, b"k", (), b"v%d" % i) for i in range(50)]


@pytest.fixture
async def store() -> MemoryStore:
    """Five segments of ten records, a millisecond apart."""
    store = MemoryStore()
    for start in range(0, 50, 10):
        segment = Segment(PATH, start, 0, lambda _: None)
        segment.add([pack(TOPIC[start : start + 10])])
        await store_segment(store, segment, "w")
    return store


async def read(store: MemoryStore) -> list[Record]:
    found = await histories(store, "t", "id-1")
    return [r for history in found.values() async for block in read_history(store, history) for r in block]


async def sound(store: MemoryStore) -> bool:
    return [problem for report in await verify(store) for problem in report.problems] == []


async def test_old_segments_go_and_the_rest_is_untouched(store: MemoryStore) -> None:
    tried = await expire(store, PATH, before_ms=1025, grace_s=0, dry_run=True)
    assert (tried.segments, tried.records, tried.floor, tried.removed) == (2, 20, 20, 0)
    assert await read(store) == TOPIC
    gone = await expire(store, PATH, before_ms=1025, grace_s=0)
    assert (gone.segments, gone.floor, gone.removed) == (2, 20, 5)  # a file, a manifest each, and the reservation
    assert await read(store) == TOPIC[20:]
    assert (await histories(store, "t", "id-1"))[0].start_offset == 20
    assert await sound(store)


async def test_within_the_grace_the_data_are_still_there(store: MemoryStore) -> None:
    before = set(store.objects)
    await expire(store, PATH, before_ms=1025, grace_s=3600)
    assert before < set(store.objects)
    assert await read(store) == TOPIC[20:]
    assert await sound(store)


async def test_everything_may_go_but_where_the_writer_goes_on(store: MemoryStore) -> None:
    await expire(store, PATH, before_ms=10**6, grace_s=0)
    assert await read(store) == []
    last = await last_manifest(store, PATH)
    assert last is not None
    assert last.next_offset == 50
    assert [key for key in store.objects if "/data/" in key] == []
    assert await sound(store)
    segment = Segment(PATH, 50, 0, lambda _: None)
    segment.add([pack([Record(50, 2000, None, (), b"new")])])
    assert (await store_segment(store, segment, "w")).won
    assert [record.offset for record in await read(store)] == [50]
    assert await sound(store)


async def test_after_a_compaction(store: MemoryStore) -> None:
    await compact(store, PATH, target_bytes=1, writer="c", grace_s=0)
    await expire(store, PATH, before_ms=1025, grace_s=0)
    assert await read(store) == TOPIC[20:]
    assert await sound(store)
    await compact(store, PATH, target_bytes=1, writer="c", grace_s=0)
    assert await read(store) == TOPIC[20:]


async def test_a_hold_forbids_it(store: MemoryStore) -> None:
    hold = await place_hold(store, "t", "case-7", "a dispute")
    assert hold is not None
    assert await place_hold(store, "t", "case-7", "again") is None
    assert await holds(store) == await holds(store, "t") == [hold]
    assert await holds(store, "other") == []
    before = dict(store.objects)
    with pytest.raises(UnderHold, match=r"t is under hold case-7, placed .*: a dispute"):
        await expire(store, PATH, before_ms=1025, grace_s=0)
    assert store.objects == before
    assert await release_hold(store, "t", "case-7")
    assert not await release_hold(store, "t", "case-7")
    assert (await expire(store, PATH, before_ms=1025, grace_s=0)).segments == 2


class HeldMeanwhile(MemoryStore):
    """Somebody places a hold just before the floor rises."""

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        if "/floor/" in key:
            await place_hold(MemoryStore(self.objects), "t", "late", "in time")
        return await super().put_if_absent(key, data)


async def test_a_hold_placed_at_the_same_time_counts(store: MemoryStore) -> None:
    racing = HeldMeanwhile(store.objects)
    with pytest.raises(UnderHold, match="late"):
        await expire(racing, PATH, before_ms=1025, grace_s=0)
    assert (await chain_of(racing, PATH)).floor == 0
    assert await read(racing) == TOPIC


async def test_another_ones_floor_is_not_taken_back(store: MemoryStore) -> None:
    """It may have been swept up to by then."""

    class Second(HeldMeanwhile):
        async def put_if_absent(self, key: str, data: bytes) -> bool:
            if "/floor/" in key:
                await expire(MemoryStore(self.objects), PATH, before_ms=1025, grace_s=0)
            return await super().put_if_absent(key, data)

    with pytest.raises(UnderHold, match="late"):
        await expire(Second(store.objects), PATH, before_ms=1025, grace_s=0)
    assert (await chain_of(store, PATH)).floor == 20
    assert await read(store) == TOPIC[20:]
    assert await sound(store)


async def test_a_hold_that_is_released_while_it_is_looked_for_is_none(store: MemoryStore) -> None:
    class Releasing(MemoryStore):
        async def get(self, key: str) -> bytes:
            if key.startswith("holds/"):
                del self.objects[key]
            return await super().get(key)

    await place_hold(store, "t", "case-7", "a dispute")
    assert await holds(Releasing(store.objects), "t") == []


async def test_nothing_goes_below_a_floor_that_has_been_taken_back(store: MemoryStore) -> None:
    class TakenBack(MemoryStore):
        async def get(self, key: str) -> bytes:
            if "/floor/" in key:
                self.objects.pop(key, None)
            return await super().get(key)

    await expire(store, PATH, before_ms=1025, grace_s=3600)
    assert await sweep(TakenBack(store.objects), PATH, grace_s=0) == 0
    assert await read(store) == TOPIC


async def test_under_a_hold_what_was_given_up_before_stays(store: MemoryStore) -> None:
    assert (await expire(store, PATH, before_ms=1020, grace_s=3600)).segments == 2
    hold = await place_hold(store, "t", "case-7", "a dispute")
    assert hold is not None
    before = dict(store.objects)
    assert (await compact(store, PATH, target_bytes=10**9, writer="c", grace_s=0)).removed == 0
    assert store.objects == before
    await release_hold(store, "t", "case-7")
    assert (await compact(store, PATH, target_bytes=10**9, writer="c", grace_s=0)).removed > 0
