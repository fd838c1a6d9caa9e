"""A topic that was deleted: what was fetched of it is archived, what was not has a name."""

import pytest
from atlas_archive.chain.ends import ends
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.proof.reports import LiveTopic
from atlas_archive.proof.verify import verify
from atlas_archiver import metrics
from atlas_kafka.consuming.endings import Ended
from structlog.testing import capture_logs

from tests.unit.archiver.sinks import TP0, TP1, FakeFacts, SlowStore, archived, batch, begin, records, sink

PATH = PartitionPath("t", "id-1", 0)


class Gone:
    """Brokers that have no such topic."""

    async def describe(self, topic: str) -> LiveTopic | None:
        return None

    async def read(self, topic: str, partition: int, start: int, stop: int):  # type: ignore[no-untyped-def]
        raise AssertionError("there is nothing to read")
        yield


async def problems(store: SlowStore) -> list[str]:
    (report,) = await verify(store, reader=Gone())
    return report.problems


def ended(given: int, *, read_to: int | None = None, end: int | None = None) -> Ended:
    return Ended("id-1", given, given if read_to is None else read_to, given if end is None else end)


async def test_what_is_held_is_archived_and_nothing_is_missing() -> None:
    store, facts = SlowStore(), FakeFacts()
    archiver = sink(store, facts)
    await begin(archiver, [TP0, TP1], facts)
    await archiver.handle({TP0: batch(0, 9)})
    del facts.ids["t"]
    await archiver.ended({TP0: ended(9, read_to=10, end=10), TP1: ended(0)})  # the last offset was a marker's
    assert await archived(store) == {0: records(0, 9)}
    assert await problems(store) == []
    assert set(await ends(store, "t", "id-1")) == {0}  # nothing is said of what never had a record


async def test_what_was_never_fetched_is_named_everywhere() -> None:
    store = SlowStore()
    archiver = sink(store)
    await begin(archiver, [TP0])
    await archiver.handle({TP0: batch(0, 9)})
    before = metrics.LOST_WITH_TOPIC.labels("t")._value.get()
    with capture_logs() as logs:
        await archiver.ended({TP0: ended(9, end=30)})
    assert metrics.LOST_WITH_TOPIC.labels("t")._value.get() == before + 21
    (entry,) = [each for each in logs if each["log_level"] == "error"]
    assert (entry["topic"], entry["partition"], entry["first_offset"], entry["last_offset"]) == ("t", 0, 9, 29)
    (problem,) = await problems(store)
    assert "t/0: offsets 9 to 29 were on the topic when it was deleted" in problem


async def test_a_store_that_is_away_loses_nothing_of_it() -> None:
    store = SlowStore()
    archiver = sink(store, segment_bytes=10)
    await begin(archiver, [TP0, TP1])
    store.down = True
    await archiver.handle({TP0: batch(0, 9), TP1: batch(0, 5)})  # on their way
    last = {TP0: ended(9), TP1: ended(5)}
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await archiver.ended(last)
    store.down = False
    await archiver.ended(last)
    assert await archived(store) == {0: records(0, 9), 1: records(0, 5)}
    assert await problems(store) == []


async def test_what_another_archived_at_its_place_counts() -> None:
    store = SlowStore()
    paused, other = sink(store), sink(SlowStore(store), writer="other")
    for archiver in (paused, other):
        await begin(archiver, [TP0])
        await archiver.handle({TP0: batch(0, 9 if archiver is paused else 5)})
    await other.release([TP0])
    await paused.ended({TP0: ended(9)})
    assert await archived(store) == {0: records(0, 5)}
    assert "offsets 5 to 8 were on the topic" in (await problems(store))[0]


async def test_a_partition_whose_archive_does_not_read_keeps_no_other_from_its_end() -> None:
    store = SlowStore()
    archiver = sink(store)
    store.objects[PATH.manifest(0)] = b"rubbish"
    assert await begin(archiver, [TP0, TP1]) == {TP1: 0}
    await archiver.handle({TP1: batch(0, 9)})
    await archiver.ended({TP0: ended(9), TP1: ended(9)})
    assert set(await ends(store, "t", "id-1")) == {1}
    assert any("rubbish" in each or "does not read" in each for each in await problems(store))
