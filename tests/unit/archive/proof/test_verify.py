"""verify names whatever is wrong: gaps, missing, damaged and extra objects, and records the topic holds otherwise."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from atlas_archive.chain.ends import End, state_end
from atlas_archive.chain.listing import partitions
from atlas_archive.chain.manifests import Manifest, PartitionPath
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.proof import incarnation_check
from atlas_archive.proof.gaps import state_known
from atlas_archive.proof.reports import LiveTopic, TopicReport
from atlas_archive.proof.verify import verify
from atlas_archive.store import Listed, MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment

SCHEMA = json.dumps({"type": "record", "name": "t.Event", "fields": [{"name": "n", "type": "int"}]})


def texts(schema_id: int) -> str | None:
    return SCHEMA if schema_id == 5 else None


def record(offset: int) -> Record:
    value = None if offset % 7 == 0 else framing(5) + bytes([offset % 60 * 2])
    headers = (("h", b"v"), ("n", None)) if offset % 4 == 0 else (("h", b"v"),)
    return Record(offset, 1_000 + offset, b"k%d" % offset, headers, value)


TOPIC = {0: [record(i) for i in range(2, 40) if i % 5], 1: [record(i) for i in range(10)]}


class FakeReader:
    """The live topics as dictionaries."""

    def __init__(self, live: LiveTopic | None, records: dict[int, list[Record]] | None = None) -> None:
        self.live = live
        self.records = TOPIC if records is None else records

    async def describe(self, topic: str) -> LiveTopic | None:
        return self.live if topic == "hauls" else None

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Sequence[Record]]:
        assert topic == "hauls"
        batch = [record for record in self.records.get(partition, []) if start <= record.offset < stop]
        yield batch[:3]
        yield batch[3:]


LIVE = LiveTopic("id-1", {0: (0, 40), 1: (0, 10), 2: (0, 0)})


async def archive(
    store: MemoryStore, topic: str = "hauls", incarnation: str = "id-1", log_start: int = 0
) -> dict[int, list[Manifest]]:
    """Segments of ten records each."""
    for partition, records in TOPIC.items():
        start = 0
        for at in range(0, len(records), 10):
            segment = Segment(PartitionPath(topic, incarnation, partition), start, log_start, texts)
            segment.add([pack(records[at : at + 10])])
            stored = await store_segment(store, segment, "writer")
            start = stored.manifest.next_offset
    return await partitions(store, topic, incarnation)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def problems(store: MemoryStore, reader: FakeReader | None = None) -> list[str]:
    (report,) = await verify(store, reader=reader)
    return report.problems


async def test_a_whole_archive(store: MemoryStore) -> None:
    chains = await archive(store)
    seen: list[int] = []
    (report,) = await verify(store, reader=FakeReader(LIVE), progress=lambda report: seen.append(report.segments))
    total = sum(map(len, TOPIC.values()))
    assert report == TopicReport(
        "hauls",
        segments=5,
        records=total,
        bytes=sum(m.size for chain in chains.values() for m in chain),
        compared_with_topic=total,
        complete_from={0: 0, 1: 0},
    )
    assert seen == [1, 2, 3, 4, 5]


async def test_a_topic_without_an_archive_is_a_problem_when_it_was_asked_for(store: MemoryStore) -> None:
    await archive(store)
    reports = await verify(store, only=["hauls", "other"])
    assert [(report.topic, len(report.problems)) for report in reports] == [("hauls", 0), ("other", 1)]
    assert await verify(MemoryStore()) == []


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_missing_object(store: MemoryStore, which: int) -> None:
    chains = await archive(store)
    key = chains[0][which].objects[0].key
    del store.objects[key]
    (problem,) = await problems(store)
    assert problem.startswith(f"{key}: missing")


async def test_a_missing_manifest_leaves_a_gap_and_extra_files(store: MemoryStore) -> None:
    chains = await archive(store)
    del store.objects[chains[0][1].key]
    found = await problems(store)
    assert any(chains[0][2].key in problem and "have no manifest" in problem for problem in found)
    for item in chains[0][1].objects:
        assert f"{item.key}: extra, no manifest names it" in found


async def test_a_missing_schema(store: MemoryStore) -> None:
    await archive(store)
    del store.objects["topics/hauls/id-1/schemas/5.avsc"]
    assert all("topics/hauls/id-1/schemas/5.avsc: missing" in problem for problem in await problems(store))
    assert await problems(store)


async def test_a_flipped_bit(store: MemoryStore) -> None:
    chains = await archive(store)
    key = chains[0][1].objects[0].key
    whole = store.objects[key]
    for at in range(0, len(whole), 37):
        store.objects[key] = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
        (problem,) = await problems(store)
        assert problem.startswith(key), at


async def test_a_truncated_object(store: MemoryStore) -> None:
    chains = await archive(store)
    key = chains[0][1].objects[0].key
    store.objects[key] = store.objects[key][:-9]
    (problem,) = await problems(store)
    assert problem.startswith(f"{key}, block 0: truncated")


async def test_a_replaced_object(store: MemoryStore) -> None:
    chains = await archive(store)
    ours, other = chains[0][0].objects[0].key, chains[0][1].objects[0].key
    store.objects[ours] = store.objects[other]
    (problem,) = await problems(store)
    assert problem.startswith(ours)


async def test_a_broken_manifest(store: MemoryStore) -> None:
    chains = await archive(store)
    store.objects[chains[1][0].key] = b"{"
    found = await problems(store)
    assert any(problem.startswith(chains[1][0].key) for problem in found)


async def test_a_manifest_with_other_counts(store: MemoryStore) -> None:
    chains = await archive(store)
    changed = replace(chains[0][0], records=9)
    store.objects[changed.key] = changed.to_json()
    assert await problems(store) == [f"{changed.key}: its objects hold 10 records instead of 9"]


async def test_an_overlap(store: MemoryStore) -> None:
    chains = await archive(store)
    changed = replace(chains[0][0], next_offset=chains[0][0].next_offset + 1)
    store.objects[changed.key] = changed.to_json()
    found = await problems(store)
    assert any(problem.startswith(f"{chains[0][1].key}: overlaps") for problem in found)


@pytest.mark.parametrize(
    "key",
    [
        "topics/hauls/id-1/data/date=2013-01-01/partition=0/stray.avro",
        "topics/hauls/id-1/data/date=1970-01-01/partition=0/00000000000000000000-0000-raw.avro",
        "topics/hauls/id-1/README",
        "topics/hauls/id-1/schemas/5.txt",
    ],
)
async def test_an_extra_object(store: MemoryStore, key: str) -> None:
    await archive(store)
    store.objects[key] = b"x"
    assert await problems(store) == [f"{key}: extra, no manifest names it"]


async def test_a_losers_file_that_its_winner_is_about_to_remove_is_no_problem(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incarnation_check, "LOOKS", 50)
    await archive(store)
    key = "topics/hauls/id-1/data/date=1970-01-01/partition=0/00000000000000000000-0000-raw.avro"
    store.objects[key] = b"x"
    listed, looks = MemoryStore.list, []

    def swept_after_the_second_look(self: MemoryStore, prefix: str, **options: Any) -> AsyncIterator[Listed]:
        looks.append(prefix)
        if looks.count(key) == 2:
            self.objects.pop(key, None)
        return listed(self, prefix, **options)

    monkeypatch.setattr(MemoryStore, "list", swept_after_the_second_look)
    assert await problems(store) == []


async def test_a_segment_in_the_making_is_only_noted(store: MemoryStore) -> None:
    await archive(store)
    key = "topics/hauls/id-1/data/date=1970-01-01/partition=0/00000000000000000040-0000-raw.avro"
    store.objects[key] = b"x"
    (report,) = await verify(store)
    assert report.problems == []
    assert report.notes == [f"{key}: of a segment that is not committed"]


async def test_records_lost_to_retention_before_archiving(store: MemoryStore) -> None:
    chains = await archive(store, log_start=2)
    (report,) = await verify(store)
    first = [chains[0][0], chains[1][0]]
    assert report.problems == [
        f"{each.key}: offsets 0 to 1 were gone from the topic before they were archived; where that is meant, say so:"
        " atlas archive accept hauls"
        for each in first
    ]
    assert report.complete_from == {0: 2, 1: 2}
    for each in first:
        assert len(await state_known(store, each.path, chains[each.partition], "begun late")) == 1
        assert await state_known(store, each.path, chains[each.partition], "again") == []
    (report,) = await verify(store)
    assert (report.problems, len(report.notes)) == ([], 2)
    assert report.notes[0].endswith(": begun late")
    late = replace(chains[0][2], log_start_offset=chains[0][2].start_offset + 3)
    store.objects[late.key] = late.to_json()
    (problem,) = await problems(store)
    assert problem.startswith(f"{late.key}: offsets 27 to 29 were gone from the topic")
    (report,) = await verify(store)
    assert report.complete_from == {0: 30, 1: 2}


async def test_what_is_going_is_named_before_there_is_a_segment_behind_it(store: MemoryStore) -> None:
    await archive(store)
    live = LiveTopic("id-1", {0: (50, 60), 1: (11, 12), 2: (4, 4)})
    (report,) = await verify(store, reader=FakeReader(live, {0: [], 1: [], 2: []}))
    assert report.problems == [
        "hauls/0: offsets 40 to 49 are gone from the topic and not archived",
        "hauls/2: offsets 0 to 3 are gone from the topic and not archived",
    ]
    assert len(report.notes) == 1  # offset 10 of partition 1 may have been a transaction's marker


async def test_a_statement_that_does_not_read_is_named(store: MemoryStore) -> None:
    await archive(store)
    key = "topics/hauls/id-1/known-gaps/partition=0/x.json"
    for rubbish in (b"", b"{}", b"[]", b"\xff", b'{"partition": 0, "more": 1}'):
        store.objects[key] = rubbish
        (problem,) = await problems(store)
        assert problem.startswith(f"{key}: does not read as a statement")


@pytest.mark.parametrize("field", ["key", "timestamp", "headers", "value"])
async def test_a_record_that_differs_from_the_topic(store: MemoryStore, field: str) -> None:
    chains = await archive(store)
    other: dict[str, Any] = {"key": None, "timestamp": 5, "headers": (("h", b"w"),), "value": b""}
    records = {**TOPIC, 1: [r._replace(**{field: other[field]}) if r.offset == 4 else r for r in TOPIC[1]]}
    (problem,) = await problems(store, FakeReader(LIVE, records))
    assert problem == f"{chains[1][0].key}: offset 4 differs from the topic in its {field}"


async def test_a_record_only_in_the_topic(store: MemoryStore) -> None:
    await archive(store)
    records = {**TOPIC, 0: sorted([*TOPIC[0], record(15)])}
    (problem,) = await problems(store, FakeReader(LIVE, records))
    assert problem.endswith("offset 15 is not in the archive")


async def test_a_record_only_in_the_archive(store: MemoryStore) -> None:
    await archive(store)
    records = {**TOPIC, 0: [r for r in TOPIC[0] if r.offset != 16]}
    (problem,) = await problems(store, FakeReader(LIVE, records))
    assert problem.endswith("offset 16 is not in the topic")
    assert await problems(store, FakeReader(replace(LIVE, compacted=True), records)) == []


async def test_what_retention_has_eaten_is_not_compared(store: MemoryStore) -> None:
    await archive(store)
    live = LiveTopic("id-1", {0: (30, 45), 1: (10, 12)})
    kept = [r for r in TOPIC[0] if r.offset >= 30]
    records = {0: [*kept, record(41), record(43)], 1: []}  # and markers: offsets without a record
    (report,) = await verify(store, reader=FakeReader(live, records))
    assert report.problems == []
    assert report.compared_with_topic == len(kept)
    assert report.behind == 2


async def test_a_long_way_behind_is_told_in_offsets(store: MemoryStore) -> None:
    await archive(store)
    (report,) = await verify(store, reader=FakeReader(LiveTopic("id-1", {0: (0, 40), 1: (0, 50_000)})))
    assert report.behind == 50_000 - 10


async def test_a_topic_that_is_gone_is_noted(store: MemoryStore) -> None:
    await archive(store)
    (report,) = await verify(store, reader=FakeReader(None))
    assert [problem.split(";")[0] for problem in report.problems] == [
        f"hauls/{partition}: the topic was deleted while no archiver read it" for partition in (0, 1)
    ]
    assert report.compared_with_topic == 0
    assert report.notes == ["hauls: there is no such topic to compare with"]


async def test_a_partition_that_is_gone_is_a_problem(store: MemoryStore) -> None:
    await archive(store)
    found = await problems(store, FakeReader(LiveTopic("id-1", {0: (0, 40)})))
    assert [problem.split(": ")[1] for problem in found] == ["the topic has no partition 1 to compare with"]


async def test_only_the_live_incarnation_is_compared(store: MemoryStore) -> None:
    await archive(store)
    for partition, end in ((0, 40), (1, 10)):
        await state_end(store, PartitionPath("hauls", "id-1", partition), End(partition, end, end, "w", ""))
    (report,) = await verify(store, reader=FakeReader(LiveTopic("id-2", {0: (0, 3)}), {0: []}))
    assert (report.problems, report.compared_with_topic) == ([], 0)
    assert "id-2" in report.notes[0]
    await archive(store, incarnation="id-2")
    (report,) = await verify(store, reader=FakeReader(replace(LIVE, incarnation="id-2")))
    assert (report.problems, report.segments) == ([], 10)
    assert report.compared_with_topic == sum(map(len, TOPIC.values()))
