"""Compaction: the same records in fewer objects, whatever is interrupted and whoever else is at work."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
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
from atlas_archive.retention import expire
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
    found = await histories(store, "t", "id-1")
    return [record for history in found.values() async for block in read_history(store, history) for record in block]


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


class Actor(MemoryStore):
    """The archive in the hands of one of several. Each operation waits for its turn, before it and after it: what was
    done may never be heard of.
    """

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
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

    async def act(self, operations: int) -> None:
        """Do so many operations while the others wait."""
        for _ in range(operations):
            for _ in range(12):
                await asyncio.sleep(0)
            self.waiting = [turn for turn in self.waiting if not turn.done()]
            if not self.waiting:
                return
            self.waiting.pop(0).set_result(None)

    def release(self) -> None:
        """From now on it does not wait."""
        self.free = True
        for turn in self.waiting:
            if not turn.done():
                turn.set_result(None)


async def write(store: MemoryStore, sizes: Sequence[int]) -> None:
    """Archive as the archiver does: from the archive's end, then from its own, until it loses."""
    start: int | None = None
    for size in sizes:
        try:
            if start is None:
                last = await last_manifest(store, PATH)
                start = last.next_offset if last else 0
            if not any(record.offset >= start for record in TOPIC):
                return
            stored = await store_one(store, start, size)
        except MissingObject:  # a manifest that it had seen was compacted away before it was read: it starts anew
            start = None
        else:
            start = stored.manifest.next_offset if stored.won else None


async def compact_again(store: MemoryStore, target: int, times: int) -> None:
    """Compact now and again, with nothing kept for slow readers."""
    for _ in range(times):
        with suppress(MissingObject):  # another one compacts as well, and has removed what this one was to read
            await run(store, grace_s=0.0, target=target)


async def give_up(store: MemoryStore, ages_ms: Sequence[int]) -> None:
    """Give up what is older, again and again; all that there is when that is old."""
    for before_ms in ages_ms:
        with suppress(MissingObject):  # as in `compact_again`
            await expire(store, PATH, before_ms=before_ms, grace_s=0.0)


async def check(store: MemoryStore) -> None:
    """All that was not given up is there once, and whoever writes finds the end, in a segment that is not compacted."""
    chain, last = await chain_of(store, PATH), await last_manifest(store, PATH)
    assert last is not None
    assert last.next_offset == TOPIC[-1].offset + 1
    assert all(compacted.next_offset <= last.start_offset for compacted in chain.compacted)
    found = await read(store)
    assert found == TOPIC[len(TOPIC) - len(found) :]  # more than the floor says when a compacted segment lies across it
    assert len(found) >= sum(record.offset >= chain.floor for record in TOPIC)
    assert [text for text in await problems(store) if "extra" not in text] == []


sizes = st.lists(st.integers(1, 15), min_size=1, max_size=12)
# A target of a byte makes a compacted segment of each that is written.
compacting = st.tuples(st.sampled_from([1, 1500, 4000, 9000]), st.integers(1, 3))
ages = st.lists(st.integers(1000, 1120), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    writers=st.tuples(sizes, sizes),
    # Not both at once, which leaves compacted segments that overlap: see the consequences of ADR 11.
    beside=st.tuples(st.lists(compacting, min_size=1, max_size=2), st.just([])) | st.tuples(st.just([]), ages),
    # Many at once: a whole compaction fits between two operations of a writer.
    turns=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 60)), max_size=40),
    crashes=st.dictionaries(st.integers(0, 40), st.integers(0, 4), max_size=3),
)
def test_any_interleaving_of_two_writers_with_compactors_or_retention_keeps_every_record_once(
    writers: tuple[list[int], list[int]],
    beside: tuple[list[tuple[int, int]], list[int]],
    turns: list[tuple[int, int]],
    crashes: dict[int, int],
) -> None:
    compactors, retention = beside

    async def interleaved() -> None:
        objects: dict[str, bytes] = {}
        actors = [Actor(objects) for _ in range(len(writers) + len(compactors) + 1)]
        work = [partial(write, sizes=each) for each in writers]
        work += [partial(compact_again, target=target, times=times) for target, times in compactors]
        work += [partial(give_up, ages_ms=retention)]
        tasks = [asyncio.create_task(do(actor)) for do, actor in zip(work, actors, strict=True)]
        for number, (choice, operations) in enumerate(turns):
            await actors[choice % len(actors)].act(operations)
            if number in crashes:
                tasks[crashes[number] % len(tasks)].cancel()
        for actor in actors:
            actor.release()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            assert done is None or isinstance(done, asyncio.CancelledError), done
        plain = MemoryStore(objects)
        await write(plain, [10] * 30)  # whatever happened, it can go on
        for _ in range(2):
            await check(plain)
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
