"""Compaction: the same records in fewer objects, whatever is interrupted and whoever else is at work."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import fastavro
import pytest
from atlas_archive.batches import pack
from atlas_archive.chains import chain_of
from atlas_archive.compaction import compact, runs, sweep
from atlas_archive.history import histories, read_history
from atlas_archive.layout import framing
from atlas_archive.manifests import PartitionPath, last_manifest
from atlas_archive.records import Record
from atlas_archive.segments import Options, Segment, Stored, store_segment
from atlas_archive.store import Listed, MemoryStore, MissingObject
from atlas_archive.verify import verify
from hypothesis import given, settings
from hypothesis import strategies as st

PATH = PartitionPath("t", "id-1", 0)
SCHEMAS = {1: '"int"', 2: '"string"'}
VALUES = (None, b"raw", framing(1) + b"\x02", framing(2) + b"\x04ab")
TOPIC = [Record(i * 2, 1000 + i, b"k", (("h", b"%d" % i),), VALUES[i % 4]) for i in range(120)]


async def nothing() -> None:
    return


async def store_one(store: MemoryStore, start: int, count: int, codec: str = "deflate") -> Stored:
    segment = Segment(PATH, start, 0, SCHEMAS.get, Options(codec=codec, block_bytes=60))
    segment.add([pack([record for record in TOPIC if record.offset >= start][:count])])
    return await store_segment(store, segment, "w", nothing)


async def archived(segments: int, size: int = 10) -> MemoryStore:
    store, start = MemoryStore(), 0
    for number in range(segments):
        stored = await store_one(store, start, size, codec="null" if number % 5 == 4 else "deflate")
        start = stored.manifest.next_offset
    return store


async def read(store: MemoryStore) -> list[Record]:
    history = (await histories(store, "t", "id-1"))[0]
    return [record async for block in read_history(store, history) for record in block]


async def problems(store: MemoryStore) -> list[str]:
    (report,) = await verify(store)
    return report.problems


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


class Turns(MemoryStore):
    """Every operation waits for its turn, before it and after it: what was done may never be heard of."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Future[None]] = []
        self.free = False

    async def turn(self) -> None:
        if not self.free:
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        await self.turn()
        await super().put(key, chunks)

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        await self.turn()
        done = await super().put_if_absent(key, data)
        await self.turn()
        return done

    async def get(self, key: str) -> bytes:
        await self.turn()
        return await super().get(key)

    async def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        await self.turn()
        async for item in super().list(prefix, start_after=start_after, limit=limit):
            yield item

    async def delete(self, key: str) -> None:
        await self.turn()
        await super().delete(key)

    async def take(self, choice: int) -> None:
        """Let one of those that wait do its operation, once everybody is at one."""
        for _ in range(12):
            await asyncio.sleep(0)
        self.waiting = [turn for turn in self.waiting if not turn.done()]
        if self.waiting:
            self.waiting.pop(choice % len(self.waiting)).set_result(None)

    def release(self) -> None:
        """From now on nobody waits."""
        self.free = True
        for turn in self.waiting:
            if not turn.done():
                turn.set_result(None)


async def write(store: MemoryStore, sizes: Sequence[int]) -> None:
    """Archive as the archiver does: from the archive's end, then from its own, until it loses."""
    start: int | None = None
    for size in sizes:
        if start is None:
            last = await last_manifest(store, PATH)
            start = last.next_offset if last else 0
        if not any(record.offset >= start for record in TOPIC):
            return
        stored = await store_one(store, start, size)
        start = stored.manifest.next_offset if stored.won else None


async def compact_again(store: MemoryStore, target: int, times: int) -> None:
    """Compact now and again, with nothing kept for slow readers."""
    for _ in range(times):
        with suppress(MissingObject):  # another one compacts as well, and has removed what this one was to read
            await run(store, grace_s=0.0, target=target)


sizes = st.lists(st.integers(1, 15), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    writers=st.tuples(sizes, sizes),
    compactors=st.lists(st.tuples(st.sampled_from([1500, 4000, 9000]), st.integers(1, 3)), min_size=1, max_size=2),
    turns=st.lists(st.integers(0, 5), max_size=300),
    crashes=st.dictionaries(st.integers(0, 200), st.integers(0, 3), max_size=3),
)
def test_any_interleaving_of_two_writers_and_compactors_gives_every_record_once(
    writers: tuple[list[int], list[int]],
    compactors: list[tuple[int, int]],
    turns: list[int],
    crashes: dict[int, int],
) -> None:
    async def interleaved() -> None:
        store = Turns()
        tasks = [asyncio.create_task(write(store, each)) for each in writers]
        tasks += [asyncio.create_task(compact_again(store, *each)) for each in compactors]
        for number, choice in enumerate(turns):
            await store.take(choice)
            if number in crashes:
                tasks[crashes[number] % len(tasks)].cancel()
        store.release()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            assert done is None or isinstance(done, asyncio.CancelledError), done
        plain = MemoryStore(store.objects)
        await write(plain, [10] * 30)  # whatever happened, it can go on
        for _ in range(2):
            assert await read(plain) == TOPIC
            assert [text for text in await problems(plain) if "extra" not in text] == []
            await run(plain, target=3000)

    asyncio.run(interleaved())


async def test_runs_wait_until_they_are_large_enough() -> None:
    store = await archived(12)
    segments = (await chain_of(store, PATH)).segments
    assert [len(run) for run in runs(segments, 1)] == [1] * 12
    assert list(runs(segments, 10**9)) == []
    for run in (found := list(runs(segments, 5000))):
        assert sum(segment.size for segment in run) >= 5000 > sum(segment.size for segment in run[:-1])
    assert [segment for run in found for segment in run] == segments[: sum(map(len, found))]
