"""Which segments count, told from manifests and floors alone, and whoever changes them at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from atlas_archive.chain.chains import Chain, append, assemble, chain_of, chains, place_of
from atlas_archive.chain.manifests import DataObject, Manifest, PartitionPath, commit, last_manifest
from atlas_archive.maintenance.compaction import compact
from atlas_archive.maintenance.holds import release_hold
from atlas_archive.maintenance.retention import Expired, expire
from atlas_archive.store import Listed, MemoryStore
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.archive import actors

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


def reserved(start: int, next_offset: int) -> Manifest:
    return replace(segment(start, next_offset, compacted=True), records=0, objects=(), given_up=True)


WRITTEN = [segment(start, start + 10) for start in range(0, 50, 10)]


def test_a_compacted_segment_stands_for_those_below_its_end() -> None:
    chain = Chain(WRITTEN, [segment(0, 20, compacted=True)])
    assert ranges(chain.segments) == [(0, 20), (20, 30), (30, 40), (40, 50)]
    assert ranges(chain.passed) == [(0, 10), (10, 20)]
    assert chain.end == 20
    assert chain.standing_for(10) == chain.compacted[0]
    assert chain.standing_for(20) is None


def test_one_put_there_later_does_not_count() -> None:
    ghost = segment(10, 35)
    chain = Chain([ghost, *WRITTEN[2:]], [segment(0, 20, compacted=True)])
    assert ranges(chain.segments) == [(0, 20), (20, 30), (30, 40), (40, 50)]
    assert chain.passed == [ghost]


def test_below_the_floor_nothing_counts() -> None:
    chain = Chain(WRITTEN, [segment(0, 20, compacted=True)], floor=30)
    assert ranges(chain.segments) == [(30, 40), (40, 50)]
    assert ranges(chain.passed) == [(0, 20), (0, 10), (10, 20), (20, 30)]
    assert (chain.end, chain.standing_for(10)) == (30, None)


def test_one_that_was_put_where_what_was_there_has_been_given_up_does_not_count() -> None:
    chain = Chain(WRITTEN[2:], [segment(0, 40, compacted=True), segment(20, 30, compacted=True)], floor=20)
    assert ranges(chain.segments) == [(20, 30), (30, 40), (40, 50)]
    assert ranges(chain.passed) == [(0, 40), (20, 30)]
    assert chain.end == 30


def test_what_is_reserved_counts_and_nothing_is_compacted_there() -> None:
    elements = [segment(0, 10, compacted=True), reserved(10, 30), segment(30, 40, compacted=True)]
    chain = Chain(WRITTEN, elements)
    assert ranges(chain.segments) == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 50)]
    assert [manifest.compacted for manifest in chain.segments] == [True, False, False, True, False]
    assert ranges(chain.passed) == [(0, 10), (30, 40)]
    assert not any(manifest.compacted for manifest in chain.passed)
    assert (chain.end, chain.standing_for(10)) == (40, None)
    assert Chain(WRITTEN, [reserved(0, 50)]).end == 50
    assert ranges(Chain(WRITTEN, elements, floor=30).passed)[:2] == [(0, 10), (10, 30)]


def test_a_reservation_past_what_is_written_shows_that_the_lists_are_torn() -> None:
    assert not Chain(WRITTEN, [reserved(0, 50)]).torn
    assert Chain(WRITTEN[:4], [reserved(0, 50)]).torn
    assert Chain([], [reserved(0, 50)]).torn
    assert not Chain(WRITTEN[:4], [reserved(0, 50)], floor=50).torn


async def test_from_a_store() -> None:
    store = MemoryStore()
    compacted = segment(0, 20, compacted=True)
    assert compacted.key == "topics/t/id-1/compacted/partition=2/00000000000000000000.json"
    assert await place_of(store, PATH, 0) == (0, None)
    for manifest in (*WRITTEN, compacted, replace(segment(0, 5), partition=1)):
        await commit(store, manifest)
    assert [await place_of(store, PATH, start) for start in (10, 20)] == [(0, compacted), (0, None)]
    await store.put(PATH.floors + f"{10:020d}.json", [b"x"])
    await store.put(PATH.floors + f"{30:020d}.json", [b"x"])
    assert await place_of(store, PATH, 10) == (30, None)
    chain = await chain_of(store, PATH)
    assert (chain.floor, ranges(chain.segments)) == (30, [(30, 40), (40, 50)])
    both = await chains(store, "t", "id-1")
    assert both[2] == chain
    assert ranges(both[1].segments) == [(0, 5)]


def test_a_floor_alone_is_a_chain_without_segments() -> None:
    found = assemble([], [PATH.floors + f"{30:020d}.json"])
    assert found[2].segments == []


Happens = Callable[[MemoryStore], Awaitable[Any]]


class Between(MemoryStore):
    """Something happens once, as soon as the keys below a prefix have been listed."""

    def __init__(self, objects: dict[str, bytes], prefix: str, happens: Happens) -> None:
        super().__init__(objects)
        self.prefix = prefix
        self.happens: Happens | None = happens

    async def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        found = [item async for item in super().list(prefix, start_after=start_after, limit=limit)]
        if prefix == self.prefix and self.happens is not None:
            happens, self.happens = self.happens, None
            await happens(MemoryStore(self.objects))
        for item in found:
            yield item


async def test_what_has_gone_since_it_was_listed_is_accounted_for_by_what_is_read_later() -> None:
    store = MemoryStore()
    for manifest in WRITTEN:
        await commit(store, manifest)

    async def compacted(store: MemoryStore) -> None:
        await commit(store, segment(0, 20, compacted=True))
        await store.delete(PATH.manifest(0))
        await commit(store, segment(0, 35))  # and a writer that was taken for dead puts its own there
        await store.delete(PATH.manifest(10))

    chain = await chain_of(Between(store.objects, PATH.manifests, compacted), PATH)
    assert ranges(chain.segments) == [(0, 20), (20, 30), (30, 40), (40, 50)]

    async def given_up(store: MemoryStore) -> None:
        await store.put(PATH.floors + f"{20:020d}.json", [b"x"])
        await store.delete(segment(0, 20, compacted=True).key)

    chain = await chain_of(Between(store.objects, PATH.compacted, given_up), PATH)
    assert (ranges(chain.segments), chain.compacted) == ([(20, 30), (30, 40), (40, 50)], [])


async def test_torn_lists_are_read_anew() -> None:
    store = MemoryStore()
    for manifest in WRITTEN[:2]:
        await commit(store, manifest)

    async def goes_on(store: MemoryStore) -> None:
        for manifest in (*WRITTEN[2:], reserved(0, 30), segment(30, 40, compacted=True)):
            await commit(store, manifest)

    chain = await chain_of(Between(store.objects, PATH.manifests, goes_on), PATH)
    assert ranges(chain.segments) == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 50)]
    del store.objects[WRITTEN[4].key]  # which can't be: what there is then is told all the same
    await commit(store, reserved(40, 50))
    assert (await chain_of(store, PATH)).torn


async def many() -> MemoryStore:
    """Twelve written segments of ten records: the first ends at offset 19, the second at 39."""
    store = MemoryStore()
    await actors.write(store, [10] * 12)
    return store


async def paused(store: MemoryStore, key: str, job: Callable[[MemoryStore], Awaitable[Any]]) -> Callable[[], Any]:
    """Starts the job and stops it where it is about to put the manifest at that key; what is given lets it go on."""
    there, on = asyncio.Event(), asyncio.Event()

    class Paused(MemoryStore):
        async def put_if_absent(self, name: str, data: bytes) -> bool:
            if name == key:
                there.set()
                await on.wait()
            return await super().put_if_absent(name, data)

    task = asyncio.ensure_future(job(Paused(store.objects)))
    arrived = asyncio.ensure_future(there.wait())
    await asyncio.wait({task, arrived}, return_when=asyncio.FIRST_COMPLETED)
    assert arrived.done(), f"it has ended and did not put {key}"

    async def go_on() -> Any:
        on.set()
        return await task

    return go_on


def element(start: int) -> str:
    return f"{actors.PATH.compacted}{start:020d}.json"


async def compact_twos(store: MemoryStore) -> Any:
    return await compact(store, actors.PATH, target_bytes=2500, writer="c", grace_s=0)


async def test_a_slow_compactor_puts_nothing_behind_a_place_that_was_given_up() -> None:
    store = await many()
    go_on = await paused(store, element(0), compact_twos)
    assert (await expire(store, actors.PATH, before_ms=1010, grace_s=0)).floor == 19
    await compact_twos(store)
    elements = (await chain_of(store, actors.PATH)).elements
    assert elements[0].start_offset == 19
    assert (await go_on()).into == 1
    assert (await chain_of(store, actors.PATH)).elements == elements
    assert element(0) in store.objects  # until the floor has passed all of it
    await actors.check(store)
    await expire(store, actors.PATH, before_ms=1030, grace_s=0)
    assert element(0) not in store.objects
    await actors.check(store)


async def test_a_slow_retention_whose_place_was_given_up_decides_anew() -> None:
    store = await many()
    go_on = await paused(store, element(0), partial(expire, path=actors.PATH, before_ms=1020, grace_s=0))
    assert (await expire(store, actors.PATH, before_ms=1010, grace_s=0)).floor == 19
    await compact_twos(store)
    second = (await chain_of(store, actors.PATH)).elements[0]
    assert second.start_offset < 39 < second.next_offset
    assert (await go_on()).floor == 19  # 39 lies in what has been compacted meanwhile
    await actors.check(store)


async def test_a_slow_compactor_loses_its_place_to_retention() -> None:
    store = await many()
    go_on = await paused(store, element(0), compact_twos)
    assert (await expire(store, actors.PATH, before_ms=1010, grace_s=3600)).floor == 19
    assert (await go_on()).into == 0
    assert not any("/partition=0/c" in key for key in store.objects)
    await actors.check(store)


async def test_a_slow_retention_loses_its_place_to_compaction() -> None:
    store = await many()
    go_on = await paused(store, element(0), partial(expire, path=actors.PATH, before_ms=1010, grace_s=0))
    await compact_twos(store)
    assert await go_on() == Expired(removed=0)
    await actors.check(store)


async def test_a_slow_writer_keeps_what_is_reserved() -> None:
    """Of what others write and compact behind it, nothing says that its place was taken."""
    store = await many()
    last = await last_manifest(store, actors.PATH)
    assert last is not None
    await store.delete(last.key)
    reservation = replace(reserved(0, last.next_offset), partition=0)

    class Meanwhile(MemoryStore):
        async def put_if_absent(self, key: str, data: bytes) -> bool:
            done = await super().put_if_absent(key, data)
            if key == last.key:
                await super().put_if_absent(reservation.key, reservation.to_json())
                follows = replace(last, start_offset=last.next_offset, next_offset=last.next_offset + 10, objects=())
                await super().put_if_absent(follows.key, follows.to_json())
            return done

    assert (await actors.store_one(Meanwhile(store.objects), last.start_offset, 10)).won
    assert (await chain_of(store, actors.PATH)).end == last.next_offset
    assert await actors.read(store) == actors.TOPIC


async def reserve(store: MemoryStore, start: int, next_offset: int) -> None:
    await commit(store, replace(reserved(start, next_offset), partition=0))


async def test_what_is_reserved_is_not_compacted_and_given_up_as_a_whole() -> None:
    store = await many()
    await reserve(store, 0, 39)
    await compact_twos(store)
    assert next(m.start_offset for m in (await chain_of(store, actors.PATH)).elements if not m.given_up) == 39
    assert await expire(store, actors.PATH, before_ms=1010, grace_s=0) == Expired()
    assert (await expire(store, actors.PATH, before_ms=1020, grace_s=0)).floor == 39
    await actors.check(store)


async def test_retention_that_always_loses_gives_up_what_it_can() -> None:
    store = await many()

    class Losing(MemoryStore):
        async def put_if_absent(self, key: str, data: bytes) -> bool:
            if key.startswith(actors.PATH.compacted):
                chain = await chain_of(self, actors.PATH)
                written = next(m for m in chain.written if m.start_offset == chain.end)
                await reserve(MemoryStore(self.objects), written.start_offset, written.next_offset)
            return await super().put_if_absent(key, data)

    gone = await expire(Losing(store.objects), actors.PATH, before_ms=1100, grace_s=0)
    assert (gone.segments, gone.floor) == (5, 99)
    await actors.check(store)


async def test_nothing_is_compacted_across_a_gap() -> None:
    store = await many()
    await store.delete(actors.PATH.manifest(59))
    await compact_twos(store)
    assert (await chain_of(store, actors.PATH)).end == 39


async def test_a_place_whose_winner_has_been_given_up_is_lost() -> None:
    class Gone(MemoryStore):
        async def put_if_absent(self, key: str, data: bytes) -> bool:
            return False

    assert not await append(Gone(), reserved(0, 10))


async def test_what_stands_for_a_place_is_looked_for_before_the_floor() -> None:
    store = MemoryStore()
    larger = segment(0, 20, compacted=True)
    await commit(store, larger)

    async def given_up(store: MemoryStore) -> None:
        await store.put(PATH.floors + f"{20:020d}.json", [b"x"])
        await store.delete(larger.key)

    assert await place_of(Between(store.objects, PATH.floors, given_up), PATH, 10) == (0, larger)
    await commit(store, larger)
    assert await place_of(Between(store.objects, PATH.compacted, given_up), PATH, 10) == (20, None)


async def test_a_slow_writer_removes_nothing_below_a_floor_that_may_be_taken_back() -> None:
    store = await many()
    first = actors.PATH.manifest(0)
    before = store.objects.pop(first)

    class Meanwhile(MemoryStore):
        async def put_if_absent(self, key: str, data: bytes) -> bool:
            done = await super().put_if_absent(key, data)
            if key == first:
                await super().put(f"{actors.PATH.floors}{39:020d}.json", [b"x"])
            return done

    assert not (await actors.store_one(Meanwhile(store.objects), 0, 10)).won
    await store.delete(f"{actors.PATH.floors}{39:020d}.json")
    assert await actors.read(store) == actors.TOPIC
    assert store.objects[first] != before


@dataclass(frozen=True)
class Plan:
    """What several do to an archive, what there is before, and when they crash; in `turns` who does how much."""

    before: list[int]
    reserved_ms: list[int]
    writers: list[list[int]]
    targets: list[int]
    ages_ms: list[int]
    grace: tuple[float, int]
    turns: list[tuple[int, int]]
    crashes: dict[int, int]

    def work(self) -> list[partial[Coroutine[Any, Any, None]]]:
        grace_s, holds = self.grace
        return [
            *(partial(actors.write, sizes=sizes) for sizes in self.writers),
            *(partial(actors.make_larger, target=target, grace_s=grace_s) for target in self.targets),
            *(partial(actors.give_up, before_ms=before_ms, grace_s=grace_s) for before_ms in self.ages_ms),
            *(partial(each) for each in (actors.hold, actors.release)[:holds]),
            *(partial(actors.look, times=times) for times in (1, 3)),
        ]


# Where one is about to change something, or has just done so, others do all that they do.
operations = st.sampled_from([0, 0, 0, actors.ALL_IT_DOES, actors.ALL_IT_DOES, 1, 2, 5, 12])
plans = st.builds(
    Plan,
    before=st.lists(st.integers(4, 12), min_size=5, max_size=9),
    reserved_ms=st.lists(st.integers(1004, 1050), max_size=1),
    writers=st.lists(st.lists(st.integers(1, 12), max_size=3), max_size=2),
    # A target of a byte makes a compacted segment of each that is written.
    targets=st.lists(st.sampled_from([1, 2000, 4000]), max_size=4),
    ages_ms=st.lists(st.integers(1004, 1064), max_size=3),
    # With nothing kept for slow readers a hold comes too late for what is removed while it is looked for.
    grace=st.sampled_from([(0.0, 0), (0.0, 0), (3600.0, 0), (3600.0, 1), (3600.0, 2)]),
    turns=st.lists(st.tuples(st.integers(0, 11), operations), min_size=8, max_size=30),
    crashes=st.dictionaries(st.integers(0, 40), st.integers(0, 11), max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(plan=plans)
def test_any_interleaving_of_writers_compactors_and_retention_keeps_every_record_once(plan: Plan) -> None:
    async def interleaved() -> None:
        plain = MemoryStore()
        await actors.write(plain, plan.before)
        for before_ms in plan.reserved_ms:
            await actors.leave_reserved(plain, before_ms)
        work = plan.work()
        stores = [actors.Actor(plain.objects) for _ in work]
        tasks = [asyncio.create_task(do(store)) for do, store in zip(work, stores, strict=True)]
        for number, (choice, operations) in enumerate(plan.turns):
            await stores[choice % len(stores)].act(operations)
            if number in plan.crashes:
                tasks[plan.crashes[number] % len(tasks)].cancel()
        for store in stores:
            store.release()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            assert done is None or isinstance(done, asyncio.CancelledError), done
        await actors.write(plain, [10] * 30)  # whatever happened, it can go on
        floor = (await chain_of(plain, actors.PATH)).floor
        assert all(record.timestamp < max(plan.ages_ms) for record in actors.TOPIC if record.offset < floor)
        await actors.check(plain)
        await compact(plain, actors.PATH, target_bytes=3000, writer="c", grace_s=0)
        await actors.check(plain)
        await release_hold(plain, actors.PATH.topic, "case")  # whose holder may have crashed
        await expire(plain, actors.PATH, before_ms=1100, grace_s=0)
        await actors.check(plain)

    asyncio.run(interleaved())
