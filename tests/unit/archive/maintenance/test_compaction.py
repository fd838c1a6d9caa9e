"""Compaction: the same records in fewer objects, whatever is interrupted and whoever else is at work."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import fastavro
import pytest
from atlas_archive.chain.chains import chain_of
from atlas_archive.chain.manifests import last_manifest
from atlas_archive.format.records import Record
from atlas_archive.maintenance.compaction import compact, runs, sweep
from atlas_archive.maintenance.retention import expire
from atlas_archive.store import MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Options, Segment, store_segment

from tests.unit.archive.actors import PATH, TOPIC, problems, read, store_one


async def archived(segments: int, size: int = 10) -> MemoryStore:
    store, start = MemoryStore(), 0
    for number in range(segments):
        stored = await store_one(store, start, size, codec="null" if number % 5 == 4 else "deflate")
        start = stored.manifest.next_offset
    return store


async def run(store: MemoryStore, grace_s: float = 0.0, target: int = 7000) -> Any:
    return await compact(store, PATH, target_bytes=target, writer="c", grace_s=grace_s)


async def test_fewer_objects_and_the_same_records() -> None:
    store = await archived(12)
    before = len(store.objects)
    kept = await run(store, grace_s=3600)
    assert 0 < 3 * kept.into <= kept.segments
    assert kept.removed == 0
    assert len(store.objects) > before  # those compacted stay for their readers
    assert await read(store) == TOPIC
    assert await problems(store) == []
    done = await run(store)
    assert (done.segments, done.into) == (0, 0)
    assert done.removed > 0
    assert len(store.objects) < 0.7 * before
    assert await read(store) == TOPIC
    assert await problems(store) == []
    assert not (await chain_of(store, PATH)).passed


async def test_an_outside_reader_reads_a_compacted_file() -> None:
    store = await archived(12)
    await run(store)
    chain = await chain_of(store, PATH)
    rows: list[Any] = []
    for item in chain.segments[0].objects:
        if item.schema_id == 1 and not item.key.endswith("-null.avro"):
            rows += list(fastavro.reader(io.BytesIO(store.objects[item.key])))
    assert [row["value"] for row in rows] == [1] * len(rows)
    assert len(rows) > 3


async def test_the_writer_goes_on_and_more_is_compacted_later() -> None:
    store = await archived(6)
    await run(store)
    last = await last_manifest(store, PATH)
    assert last is not None
    start = last.next_offset
    for _ in range(6):
        start = (await store_one(store, start, 10)).manifest.next_offset
    assert (await run(store)).into > 0
    assert await read(store) == TOPIC
    assert await problems(store) == []


async def test_a_zombie_whose_place_was_compacted_away_takes_itself_back() -> None:
    store = await archived(12)
    await run(store)
    gone = 20  # where the second segment began
    assert PATH.manifest(gone) not in store.objects
    before = dict(store.objects)
    stored = await store_one(store, gone, 35)
    last = await last_manifest(store, PATH)
    assert (stored.won, stored.manifest) == (False, last)
    assert store.objects == before
    assert await read(store) == TOPIC


async def test_a_zombie_that_dies_before_it_takes_itself_back_changes_nothing() -> None:
    clean = await archived(12)
    await run(clean)
    store = MemoryStore(dict(clean.objects))
    other = await archived(0)
    await store_one(other, 20, 35)
    store.objects |= other.objects
    assert await read(store) == TOPIC
    assert await problems(store) == []
    assert (await last_manifest(store, PATH)) == (await last_manifest(clean, PATH))
    await sweep(store, PATH, grace_s=0)
    assert store.objects == clean.objects


class Failing(MemoryStore):
    """Fails at the operation of that number; what came before it is done."""

    left = 10**9

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionError

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        self._count()
        await super().put(key, chunks)

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        self._count()
        return await super().put_if_absent(key, data)

    async def delete(self, key: str) -> None:
        self._count()
        await super().delete(key)


async def test_it_may_end_after_any_step() -> None:
    original = (await archived(12)).objects
    for steps in range(200):
        store = Failing(dict(original))
        store.left = steps
        try:
            await run(store)
        except ConnectionError:
            ended = False
        else:
            ended = True
        store.left = 10**9
        assert await read(store) == TOPIC
        if ended:
            break
        await run(store)
        assert await read(store) == TOPIC
        assert [text for text in await problems(store) if "extra" not in text] == []
    assert ended
    assert steps > 20


class Slow(MemoryStore):
    """Gives way at every operation, so that what runs beside it is interleaved."""

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        await asyncio.sleep(0)
        await super().put(key, chunks)

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        await asyncio.sleep(0)
        return await super().put_if_absent(key, data)


@pytest.mark.parametrize("targets", [(7000, 7000), (4000, 12000), (12000, 4000)])
async def test_two_at_once(targets: tuple[int, int]) -> None:
    store = Slow((await archived(12)).objects)
    await asyncio.gather(*(run(store, grace_s=3600, target=target) for target in targets))
    assert await read(store) == TOPIC
    await run(store)
    assert await read(store) == TOPIC
    assert await problems(store) == []


class Meanwhile(MemoryStore):
    """Something happens between a writer's manifest and its look at the fence."""

    def __init__(self, objects: dict[str, bytes], happens: Callable[[MemoryStore], Awaitable[Any]]) -> None:
        super().__init__(objects)
        self.happens = happens

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        done = await super().put_if_absent(key, data)
        if key.startswith(PATH.manifests):
            await self.happens(MemoryStore(self.objects))
        return done


async def test_a_slow_writer_leaves_what_was_made_of_its_segment() -> None:
    """Compacted by itself, a segment keeps its files: a writer that finds it behind the fence must not remove them."""
    before = await archived(3)

    async def goes_on(store: MemoryStore) -> None:
        start = (await last_manifest(store, PATH)).next_offset  # type: ignore[union-attr]
        await store_one(store, start, 10)
        assert (await run(store, target=1)).into == 4

    stored = await store_one(Meanwhile(before.objects, goes_on), 59, 10)
    assert (stored.won, stored.manifest) == (False, await last_manifest(before, PATH))
    assert await read(before) == TOPIC[:50]
    assert await problems(before) == []


async def test_a_slow_writer_is_not_stopped_by_the_end_being_given_up() -> None:
    before = await archived(3)

    async def give_all_up(store: MemoryStore) -> None:
        assert (await expire(store, PATH, before_ms=10**6, grace_s=0)).segments == 4

    stored = await store_one(Meanwhile(before.objects, give_all_up), 59, 10)
    assert (stored.won, stored.manifest) == (True, await last_manifest(before, PATH))
    assert await read(before) == []
    assert (await store_one(before, stored.manifest.next_offset, 10)).won
    assert await read(before) == TOPIC[40:50]


async def test_runs_wait_until_they_are_large_enough() -> None:
    store = await archived(12)
    segments = (await chain_of(store, PATH)).segments
    assert [len(run) for run in runs(segments, 1)] == [1] * 12
    assert list(runs(segments, 10**9)) == []
    for run in (found := list(runs(segments, 5000))):
        assert sum(segment.size for segment in run) >= 5000 > sum(segment.size for segment in run[:-1])
    assert [segment for run in found for segment in run] == segments[: sum(map(len, found))]


async def test_raw_files_with_other_types_of_names_are_not_mixed() -> None:
    store, written = MemoryStore(), list[str]()
    for start in range(4):
        names = ("\udce9", "h")[:: -1 if start % 2 else 1]
        some = [Record(start * 10 + i, 0, None, ((names[i % 2], b"1"),), None) for i in range(10)]
        segment = Segment(PATH, start * 10, 0, lambda _: None, Options(codec="deflate"))
        segment.add([pack(some)])
        await store_segment(store, segment, "w")
        written += [record.headers[0][0] for record in some]
    done = await run(store, target=1500)
    assert done.into == 1
    names = [name for record in await read(store) for name, _ in record.headers]
    assert names == [name.encode(errors="surrogateescape").decode(errors="backslashreplace") for name in written]
    assert await problems(store) == []
    for item in (await chain_of(store, PATH)).segments[0].objects:
        assert len(list(fastavro.reader(io.BytesIO(store.objects[item.key])))) == item.records
