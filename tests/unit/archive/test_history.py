"""The archive read as a topic's history: in order, from any offset, with as little in memory as said."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.container import CorruptFile
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.history import HistoryGap, histories, read_history, read_segment
from atlas_archive.store import MemoryStore, MissingObject
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Options, Segment, store_segment
from hypothesis import given, settings
from hypothesis import strategies as st

PATH = PartitionPath("t", "id-1", 0)
SCHEMAS = {1: '"int"', 2: '"string"'}
VALUES = (None, b"raw", framing(1) + b"\x02", framing(2) + b"\x04ab")


async def stored(
    records: Sequence[Record], sizes: Sequence[int], store: MemoryStore | None = None, block_bytes: int = 60
) -> MemoryStore:
    """The records in segments of these sizes (the last one repeated), in blocks of a few records."""
    store = store or MemoryStore()
    start, at, number = 0, 0, 0
    while at < len(records):
        size = sizes[min(number, len(sizes) - 1)]
        segment = Segment(PATH, start, 0, SCHEMAS.get, Options(codec="null", block_bytes=block_bytes))
        segment.add([pack(records[at : at + size])])
        manifest = (await store_segment(store, segment, "w")).manifest
        start, at, number = manifest.next_offset, at + size, number + 1
    return store


def some(count: int, step: int = 1) -> list[Record]:
    return [Record(i * step, 1000 + i, b"k%d" % (i % 3), (), VALUES[i % len(VALUES)]) for i in range(count)]


@settings(max_examples=100, deadline=None)
@given(
    kinds=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    gaps=st.integers(1, 3),
    start=st.integers(0, 200),
    stop=st.none() | st.integers(0, 200),
    ahead=st.integers(0, 3),
)
def test_any_range_of_any_mixture_of_schemas(
    kinds: list[int], sizes: list[int], gaps: int, start: int, stop: int | None, ahead: int
) -> None:
    records = [Record(i * gaps, i, None, (), VALUES[kind]) for i, kind in enumerate(kinds)]

    async def run() -> None:
        store = await stored(records, sizes)
        history = (await histories(store, "t", "id-1"))[0]
        assert (history.start_offset, history.next_offset) == (0, records[-1].offset + 1)
        assert history.records == len(records)
        blocks = [block async for block in read_history(store, history, start, stop, ahead=ahead)]
        assert all(blocks)
        expected = [r for r in records if r.offset >= start and (stop is None or r.offset < stop)]
        assert [record for block in blocks for record in block] == expected

    asyncio.run(run())


async def test_a_segment_is_a_unit_of_work() -> None:
    records = some(50)
    store = await stored(records, [20])
    history = (await histories(store, "t", "id-1"))[0]
    assert [segment.start_offset for segment in history.between(20, 41)] == [20, 40]
    assert [segment.start_offset for segment in history.between(20, 40)] == [20]
    found = [r async for block in read_segment(store, history.segments[1]) for r in block]
    assert found == records[20:40]


class CountingStore(MemoryStore):
    """Counts the data objects fetched."""

    fetched = 0

    async def get(self, key: str) -> bytes:
        self.fetched += "/data/" in key
        return await super().get(key)


async def test_no_more_is_fetched_than_ahead_allows() -> None:
    raw = [Record(i, i, None, (), b"raw") for i in range(60)]
    store = CountingStore((await stored(raw, [10])).objects)
    history = (await histories(store, "t", "id-1"))[0]
    async with aclosing(read_history(store, history, 10, ahead=1)) as blocks:
        async for records in blocks:
            assert records[0].offset == 10
            break
        await asyncio.sleep(0)
        assert store.fetched == 2
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_gap_is_named() -> None:
    store = await stored(some(30), [10])
    del store.objects[PATH.manifest(10)]
    with pytest.raises(HistoryGap, match="t/0: the archive has no offsets 10 to 19"):
        await histories(store, "t", "id-1")


async def test_a_lost_or_broken_object_is_named() -> None:
    store = await stored(some(30), [10])
    history = (await histories(store, "t", "id-1"))[0]
    key = history.segments[1].objects[0].key
    store.objects[key] = store.objects[key][:-3]
    with pytest.raises(CorruptFile, match=key):
        _ = [block async for block in read_history(store, history)]
    del store.objects[key]
    with pytest.raises(MissingObject, match=key):
        _ = [block async for block in read_history(store, history)]


async def test_nothing_archived() -> None:
    assert await histories(MemoryStore(), "t", "id-1") == {}
