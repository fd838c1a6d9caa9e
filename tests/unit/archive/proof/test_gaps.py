"""Gaps keep their names through compaction, and only what was stated is known."""

from dataclasses import replace

from atlas_archive.chain.chains import chain_of
from atlas_archive.maintenance.compaction import compact
from atlas_archive.proof.gaps import KnownGap, complete_from, has_gap, known_gaps, state_known
from atlas_archive.store import MemoryStore

from tests.unit.archive.actors import PATH, problems, store_one


async def archived() -> MemoryStore:
    """Six segments, before the first and the fourth of which offsets were gone."""
    store, start = MemoryStore(), 0
    for number in range(6):
        manifest = (await store_one(store, start, 10)).manifest
        if number in (0, 3):
            manifest = replace(manifest, log_start_offset=manifest.start_offset + 1)
            store.objects[manifest.key] = manifest.to_json()
        start = manifest.next_offset
    return store


async def test_compaction_hides_no_gap() -> None:
    store = await archived()
    before = [each for each in await problems(store) if "gone" in each]
    assert len(before) == 2
    await compact(store, PATH, target_bytes=3000, writer="c", grace_s=0)
    segments = (await chain_of(store, PATH)).segments
    assert any(each.compacted for each in segments)
    assert len([each for each in await problems(store) if "gone" in each]) == 2
    assert complete_from(segments) == [each for each in segments if has_gap(each)][1].log_start_offset
    stated = await state_known(store, PATH, segments, "why")
    assert len(stated) == 2
    assert await problems(store) == []
    assert await known_gaps(store, PATH.topic, PATH.incarnation) == stated


async def test_a_statement_is_for_its_offsets_alone() -> None:
    first = (await chain_of(await archived(), PATH)).segments[0]
    known = KnownGap(0, 0, 1, "", "")
    assert known.covers(first)
    assert not known.covers(replace(first, log_start_offset=2))
    assert not known.covers(replace(first, partition=1))
    assert not replace(known, start_offset=1).covers(first)
