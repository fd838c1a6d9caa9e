"""Manifests: any interleaving of two writers, crashes among them, gives every record once."""

import asyncio
import types
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from typing import Any

import pytest
from atlas_archive.chain.listing import summaries
from atlas_archive.chain.manifests import (
    BadManifest,
    DataObject,
    Manifest,
    PartitionPath,
    commit,
    last_manifest,
    read_manifest,
    topics,
)
from atlas_archive.format.records import Record
from atlas_archive.history import histories, read_history
from atlas_archive.proof.verify import verify
from atlas_archive.store import Listed, MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment
from hypothesis import given, settings
from hypothesis import strategies as st

PATH = PartitionPath("hauls", "id-1", 3)


@types.coroutine
def _turn() -> Generator[None, None, None]:
    yield


class SteppedStore(MemoryStore):
    """Gives way before every operation, and after it: what was done may never be heard of."""

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        await _turn()
        await super().put(key, chunks)
        await _turn()

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        await _turn()
        done = await super().put_if_absent(key, data)
        await _turn()
        return done

    async def get(self, key: str) -> bytes:
        await _turn()
        return await super().get(key)

    async def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        await _turn()
        async for item in super().list(prefix, start_after=start_after, limit=limit):
            yield item

    async def delete(self, key: str) -> None:
        await _turn()
        await super().delete(key)


async def write(store: MemoryStore, topic: Sequence[Record], sizes: Sequence[int], name: str) -> None:
    """Archive as the archiver does: from the archive's end, then from its own, until it loses."""
    start: int | None = None
    for size in sizes:
        if start is None:
            last = await last_manifest(store, PATH)
            start = last.next_offset if last else 0
        batch = [record for record in topic if record.offset >= start][:size]
        if not batch:
            start = None
            continue
        segment = Segment(PATH, start, 0, lambda _: None)
        segment.add([pack(batch)])
        stored = await store_segment(store, segment, name)
        start = stored.manifest.next_offset if stored.won else None


async def archived(store: MemoryStore) -> list[Record]:
    found = await histories(store, PATH.topic, PATH.incarnation)
    return [record async for block in read_history(store, found[PATH.partition]) for record in block]


sizes = st.lists(st.integers(1, 6), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 3), min_size=1, max_size=25),
    writers=st.lists(sizes, min_size=2, max_size=3),
    turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), max_size=60),
    crashes=st.lists(st.integers(0, 60), max_size=2),
)
def test_any_interleaving_gives_every_record_once(
    gaps: list[int], writers: list[list[int]], turns: list[tuple[int, int]], crashes: list[int]
) -> None:
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    topic = [Record(offset, offset * 1000, None, (), b"%d" % offset) for offset in offsets]
    store = SteppedStore()
    running: list[Coroutine[Any, Any, None] | None] = [
        write(store, topic, each, f"writer-{i}") for i, each in enumerate(writers)
    ]

    def step(index: int, times: int) -> None:
        coroutine = running[index]
        for _ in range(times if coroutine is not None else 0):
            try:
                coroutine.send(None)  # type: ignore[union-attr]
            except StopIteration:
                running[index] = None
                return

    for number, (index, times) in enumerate(turns):
        turn = index % len(running)
        step(turn, times)
        if number in crashes and (coroutine := running[turn]) is not None:
            coroutine.close()
            running[turn] = None
    for index in range(len(running)):
        step(index, 10_000)

    plain = MemoryStore(store.objects)
    asyncio.run(write(plain, topic, [4] * 20, "the last one"))  # whatever happened, it can go on
    assert asyncio.run(archived(plain)) == topic
    (report,) = asyncio.run(verify(plain))
    lost = [problem for problem in report.problems if "extra" not in problem]
    assert lost == []
    if not crashes:
        assert report.problems == []
        assert report.notes == []


def manifest(start: int, next_offset: int, **changes: Any) -> Manifest:
    item = DataObject(PATH.data(start, 0) + "x-raw.avro", 1, "00", None, 1, start, start)
    fields: dict[str, Any] = {
        "topic": PATH.topic,
        "incarnation": PATH.incarnation,
        "partition": PATH.partition,
        "start_offset": start,
        "next_offset": next_offset,
        "records": 1,
        "first_offset": start,
        "last_offset": next_offset - 1,
        "min_timestamp_ms": 0,
        "max_timestamp_ms": 0,
        "log_start_offset": 0,
        "objects": (item,),
        "segment": f"s{start}",
        "writer": "w",
        "written_at": "2026-01-01T00:00:00.000+00:00",
    }
    return Manifest(**{**fields, **changes})


def test_keys() -> None:
    assert manifest(7, 9).key == "topics/hauls/id-1/manifest/partition=3/00000000000000000007.json"
    day = 1356998400000
    assert PATH.data(7, day) == "topics/hauls/id-1/data/date=2013-01-01/partition=3/00000000000000000007-"
    assert PATH.data(7, day - 1).split("/")[4] == "date=2012-12-31"
    assert PATH.data(7, -1).split("/")[4] == PATH.data(7, 2**62).split("/")[4] == "date=none"


def test_a_manifest_reads_back() -> None:
    ours = manifest(7, 9)
    assert read_manifest(ours.key, ours.to_json()) == ours


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not read"),
        (b"[]", "does not read"),
        (b'{"version": 1}', "does not read"),
        (manifest(7, 9).to_json().replace(b'"version": 1', b'"version": 2'), "of version 2"),
        (manifest(8, 9).to_json(), "describes .*0008.json"),
        (manifest(7, 9).to_json().replace(b'"records"', b'"rekords"'), "does not read"),
    ],
)
def test_a_bad_manifest_is_named(data: bytes, reason: str) -> None:
    key = manifest(7, 9).key
    with pytest.raises(BadManifest, match=f"{key}: .*{reason}"):
        read_manifest(key, data)


async def test_a_lost_answer_is_no_loss() -> None:
    store = MemoryStore()
    ours = manifest(0, 5)
    assert await commit(store, ours) == ours
    assert await commit(store, ours) == ours
    theirs = manifest(0, 7, segment="other")
    assert await commit(store, theirs) == ours


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500, 5003])
async def test_the_last_of_many_segments_is_found(count: int) -> None:
    store = MemoryStore()
    for i in range(count):
        await commit(store, manifest(i * 977, i * 977 + 977))
    await commit(store, manifest(10**15, 10**15 + 1, partition=4))
    last = await last_manifest(store, PATH)
    assert (last.next_offset if last else 0) == count * 977


async def test_topics_and_summaries() -> None:
    store = MemoryStore()
    for topic, incarnation in [("a", "1"), ("a", "2"), ("a.b", "1"), ("a-b", "1")]:
        for partition in (0, 1):
            ours = manifest(0, 5, topic=topic, incarnation=incarnation, partition=partition, max_timestamp_ms=9)
            await commit(store, ours)
            await commit(store, manifest(5, 8, topic=topic, incarnation=incarnation, partition=partition))
    found = [pair async for pair in topics(store)]
    assert sorted(found) == [("a", "1"), ("a", "2"), ("a-b", "1"), ("a.b", "1")]
    rows = await summaries(store, "a")
    assert [(row.incarnation, row.partition, row.segments, row.records) for row in rows] == [
        ("1", 0, 2, 2),
        ("1", 1, 2, 2),
        ("2", 0, 2, 2),
        ("2", 1, 2, 2),
    ]
    assert (rows[0].start_offset, rows[0].next_offset, rows[0].max_timestamp_ms, rows[0].size) == (0, 8, 9, 2)
    assert await summaries(store, "none") == []
