"""An archive in the hands of several at once, whose operations are let through one by one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from atlas_archive.chain.chains import chain_of
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.history import histories, read_history
from atlas_archive.maintenance.compaction import compact
from atlas_archive.maintenance.holds import UnderHold, place_hold, release_hold
from atlas_archive.maintenance.retention import expire
from atlas_archive.proof.verify import verify
from atlas_archive.store import Listed, MemoryStore, MissingObject
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Options, Segment, Stored, store_segment

PATH = PartitionPath("t", "id-1", 0)
SCHEMAS = {1: '"int"', 2: '"string"'}
VALUES = (None, b"raw", framing(1) + b"\x02", framing(2) + b"\x04ab")
TOPIC = [Record(i * 2, 1000 + i, b"k", (("h", b"%d" % i),), VALUES[i % 4]) for i in range(120)]


async def store_one(store: MemoryStore, start: int, count: int, codec: str = "deflate") -> Stored:
    segment = Segment(PATH, start, 0, SCHEMAS.get, Options(codec=codec, block_bytes=60))
    segment.add([pack([record for record in TOPIC if record.offset >= start][:count])])
    return await store_segment(store, segment, "w")


async def read(store: MemoryStore) -> list[Record]:
    found = await histories(store, "t", "id-1")
    return [record for history in found.values() async for block in read_history(store, history) for record in block]


async def problems(store: MemoryStore) -> list[str]:
    (report,) = await verify(store)
    return report.problems


ALL_IT_DOES = 10**6


class Actor(MemoryStore):
    """The archive in the hands of one of several. Each operation waits for its turn, before it and after it: what was
    done may never be heard of.
    """

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
        self.waiting: list[tuple[asyncio.Future[None], bool]] = []
        self.free = False

    async def turn(self, *, changes: bool) -> None:
        if not self.free:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append((turn, changes))
            await turn

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        await self.turn(changes=False)  # of a name of its own, which nobody knows yet
        await super().put(key, chunks)

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        await self.turn(changes=True)
        done = await super().put_if_absent(key, data)
        await self.turn(changes=False)
        return done

    async def get(self, key: str) -> bytes:
        await self.turn(changes=False)
        return await super().get(key)

    async def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        await self.turn(changes=False)
        async for item in super().list(prefix, start_after=start_after, limit=limit):
            yield item

    async def delete(self, key: str) -> None:
        await self.turn(changes=True)
        await super().delete(key)

    async def act(self, operations: int) -> None:
        """Do so many operations while the others wait; with 0, go on to where the next one changes something."""
        left = operations or ALL_IT_DOES
        while left:
            for _ in range(12):
                self.waiting = [(turn, changes) for turn, changes in self.waiting if not turn.done()]
                if self.waiting:
                    break
                await asyncio.sleep(0)
            else:
                return  # it has ended
            turn, changes = self.waiting[0]
            if not operations and changes and left < ALL_IT_DOES:
                return
            turn.set_result(None)
            left -= 1
            await asyncio.sleep(0)

    def release(self) -> None:
        """From now on it does not wait."""
        self.free = True
        for turn, _ in self.waiting:
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


async def make_larger(store: MemoryStore, target: int, grace_s: float) -> None:
    with suppress(MissingObject):  # another one compacts as well, and has removed what this one was to read
        await compact(store, PATH, target_bytes=target, writer="c", grace_s=grace_s)


async def give_up(store: MemoryStore, before_ms: int, grace_s: float) -> None:
    with suppress(UnderHold):
        await expire(store, PATH, before_ms=before_ms, grace_s=grace_s)


class Crashing(MemoryStore):
    """Fails where a floor is put."""

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        if key.startswith(PATH.floors):
            raise ConnectionError
        return await super().put_if_absent(key, data)


async def leave_reserved(store: MemoryStore, before_ms: int) -> None:
    """Give up what is older, and crash before the floor rises."""
    with suppress(ConnectionError):
        await expire(Crashing(store.objects), PATH, before_ms=before_ms, grace_s=0)


async def hold(store: MemoryStore) -> None:
    await place_hold(store, PATH.topic, "case", "a dispute")


async def release(store: MemoryStore) -> None:
    await release_hold(store, PATH.topic, "case")


async def look(store: MemoryStore, times: int) -> None:
    """Read what there is: at any moment it is the topic from the archive's beginning to its end, which only goes on."""
    end = 0
    for _ in range(times):
        history = (await histories(store, PATH.topic, PATH.incarnation)).get(PATH.partition)
        if history is None:
            continue
        assert history.next_offset >= end
        end = history.next_offset
        with suppress(MissingObject):  # compacted or given up since: a reader lists again
            found = [record async for block in read_history(store, history) for record in block]
            assert found == [record for record in TOPIC if history.start_offset <= record.offset < end]


async def check(store: MemoryStore) -> None:
    """All that was not given up is there once, and whoever writes finds the end, in a segment that is not compacted."""
    chain, last = await chain_of(store, PATH), await last_manifest(store, PATH)
    assert last is not None
    assert last.next_offset == TOPIC[-1].offset + 1
    assert all(element.given_up or element.next_offset <= last.start_offset for element in chain.elements)
    ends = [chain.floor] + [element.next_offset for element in chain.elements]
    assert [element.start_offset for element in chain.elements] == ends[:-1]
    assert await read(store) == [record for record in TOPIC if record.offset >= chain.floor]
    assert [text for text in await problems(store) if "extra" not in text] == []
