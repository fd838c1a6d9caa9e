"""The checks beside a live archiver, and of very many differences; every single fault is in test_verify."""

from collections.abc import AsyncIterator, Sequence

from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Record
from atlas_archive.proof.incarnation_check import IncarnationCheck
from atlas_archive.proof.reports import LiveTopic, TopicReader, TopicReport
from atlas_archive.store import Listed, MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment

PATH = PartitionPath("t", "id", 0)
LIVE = LiveTopic("id", {0: (0, 100)})


async def add(store: MemoryStore, start: int, stop: int) -> None:
    segment = Segment(PATH, start, 0, lambda _: None)
    segment.add([pack([Record(i, 0, None, (), b"%d" % i) for i in range(start, stop)])])
    await store_segment(store, segment, "w")


class Reader:
    """A topic whose values all differ from the archive's."""

    async def describe(self, topic: str) -> LiveTopic | None:
        return LIVE

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Sequence[Record]]:
        yield [Record(i, 0, None, (), b"other") for i in range(start, stop)]


async def check(store: MemoryStore, reader: TopicReader | None = None) -> TopicReport:
    report = TopicReport("t")
    live = LIVE if reader is not None else None
    await IncarnationCheck(store, report, "id", live, reader, lambda _: None).run()
    return report


class Busy(MemoryStore):
    """An archiver commits a segment as soon as the manifests have been listed."""

    async def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        async for item in super().list(prefix, start_after=start_after, limit=limit):
            yield item
        if prefix.endswith("manifest/"):
            await add(MemoryStore(self.objects), 10, 20)


async def test_what_is_committed_meanwhile_is_no_fault() -> None:
    store = Busy()
    await add(MemoryStore(store.objects), 0, 10)
    report = await check(store)
    assert (report.problems, report.segments, report.records) == ([], 1, 10)


async def test_a_manifest_that_goes_away_meanwhile_is_named() -> None:
    class Losing(MemoryStore):
        async def get(self, key: str) -> bytes:
            if "manifest" in key:
                self.objects.pop(key, None)
            return await super().get(key)

    store = Losing()
    await add(MemoryStore(store.objects), 0, 10)
    assert f"{PATH.manifest(0)}: gone while it was verified" in (await check(store)).problems


async def test_differences_without_end_are_told_in_short() -> None:
    store = MemoryStore()
    await add(store, 0, 100)
    report = await check(store, Reader())
    assert len(report.problems) == 21
    assert report.problems[0] == f"{PATH.manifest(0)}: offset 0 differs from the topic in its value"
    assert report.problems[-1] == f"{PATH.manifest(0)}: 80 more records differ from the topic"
    assert report.compared_with_topic == 0
