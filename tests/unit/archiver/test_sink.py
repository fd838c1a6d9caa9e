"""The archiver's sink over a store in memory: when segments are closed, and what happens when a step fails."""

import asyncio
import string
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.errors import InvalidTopicError
from atlas_archive.chain.listing import partitions
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.proof.verify import verify
from atlas_archive.writing.batches import pack
from atlas_archiver import metrics
from atlas_archiver.sink import ArchiveSink
from atlas_errors.policy import Transient
from atlas_kafka.consuming.paused import Paused
from atlas_local.waiting import wait_until
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.unit.archiver.sinks import TP0, TP1, FakeFacts, SlowStore, archived, batch, begin, durable, records, sink

PATH = PartitionPath("t", "id-1", 0)
DAMAGED = [replace(pack(records(3, 9)), packed=b"\xff" * 20)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def paused_sink(store: SlowStore, **options: Any) -> tuple[ArchiveSink, Paused, Clock]:
    clock = Clock()
    paused = Paused("archiver", clock)
    return sink(store, paused=paused, **options), paused, clock


async def test_a_segment_is_closed_by_size() -> None:
    store = SlowStore()
    archiver = sink(store, segment_bytes=1000)
    assert await begin(archiver, [TP0]) == {TP0: 0}
    assert await archiver.handle({TP0: batch(0, 10)}) == {}
    assert not [key for key in store.objects if key.startswith("topics/")]
    await archiver.handle({TP0: batch(10, 100)})
    await durable(archiver, TP0, 100)
    assert await archived(store) == {0: records(0, 100)}


async def test_a_segment_is_closed_by_age() -> None:
    store = SlowStore()
    archiver = sink(store, age_s=0.2)
    await begin(archiver, [TP0, TP1])
    assert await archiver.handle({TP1: batch(3, 5)}) == {}
    await durable(archiver, TP1, 5)
    assert await archived(store) == {1: records(3, 5)}


@pytest.mark.parametrize("heard", [True, False])
async def test_what_follows_a_lost_segment_is_never_archived(heard: bool) -> None:
    """A writer that was paused: its place is taken when it wakes up, and the open segment does not fit any more."""
    store = SlowStore()
    paused, other = sink(store, segment_bytes=1000), sink(SlowStore(store), writer="other")
    for archiver in (paused, other):
        await begin(archiver, [TP0])
    store.gate.clear()
    await paused.handle({TP0: batch(0, 100)})  # on its way
    await paused.handle({TP0: batch(100, 110)})  # open
    assert await other.handle({TP0: batch(0, 150)}) == {TP0: 150}
    await other.release([TP0])
    store.gate.set()
    if heard:
        with pytest.raises(Transient, match="going on from 150"):
            await durable(paused, TP0, 100)
    assert await paused.release([TP0]) == {}
    assert await archived(store) == {0: records(0, 150)}
    assert await begin(paused, [TP0]) == {TP0: 150}


async def test_release_archives_what_is_held() -> None:
    store = SlowStore()
    archiver = sink(store)
    await begin(archiver, [TP0, TP1])
    await archiver.handle({TP0: batch(0, 5), TP1: batch(0, 7)})
    assert await archiver.release([TP0]) == {TP0: 5}
    assert await archived(store) == {0: records(0, 5)}
    assert await archiver.release([TP1]) == {TP1: 7}


async def takes_no_segment(store: SlowStore, archiver: Any) -> None:
    """The store is away, a segment fails, and the partition begins anew."""
    store.down = True
    assert await archiver.handle({TP0: batch(0, 100)}) == {}
    with pytest.raises(ConnectionError):
        await wait_until("the failure to be heard of", lambda: archiver.handle({}), 3)
    assert await begin(archiver, [TP0]) == {TP0: 0}


async def test_a_store_that_is_away_loses_and_doubles_nothing() -> None:
    store = SlowStore()
    archiver = sink(store, segment_bytes=100)
    await begin(archiver, [TP0])
    await takes_no_segment(store, archiver)
    store.down = False
    await archiver.handle({TP0: batch(0, 60)})
    await durable(archiver, TP0, 60)
    assert await archived(store) == {0: records(0, 60)}


async def test_a_full_store_is_said_until_it_takes_a_segment() -> None:
    """It answers everything but a put, and while a segment fills nothing is put."""
    store = SlowStore()
    archiver = sink(store, segment_bytes=100)
    await begin(archiver, [TP0])
    await takes_no_segment(store, archiver)
    await archiver.handle({TP0: batch(0, 2)})
    assert await archiver.refused() == "ConnectionError: the store is away"
    store.down = False
    await archiver.handle({TP0: batch(2, 60)})
    await durable(archiver, TP0, 60)
    assert await archiver.refused() is None


async def test_release_without_a_store_gives_up_quietly() -> None:
    store = SlowStore()
    archiver = sink(store)
    await begin(archiver, [TP0])
    await archiver.handle({TP0: batch(0, 5)})
    store.down = True
    assert await archiver.release([TP0]) == {}
    store.down = False
    assert await begin(archiver, [TP0]) == {TP0: 0}


async def test_memory_is_bounded_while_the_store_is_slow() -> None:
    store = SlowStore()
    archiver = sink(store, held=20_000)
    await begin(archiver, [TP0, TP1])
    store.gate.clear()
    handling = asyncio.create_task(archiver.handle({TP0: batch(0, 300, 60), TP1: batch(0, 300, 60)}))
    await wait_until("both uploads to begin", lambda: store.waiting == 2, 3)
    assert not handling.done()  # no more is taken from Kafka until the store has some of it
    store.gate.set()
    assert await handling == {TP0: 300, TP1: 300}
    assert sum(map(len, (await archived(store)).values())) == 600


async def test_the_largest_is_stored_before_too_much_is_held() -> None:
    store = SlowStore()
    archiver = sink(store, held=30_000)
    await begin(archiver, [TP0, TP1])
    store.gate.clear()
    assert await archiver.handle({TP0: batch(0, 200, 60), TP1: batch(0, 100, 60)}) == {}  # nothing is waited for
    await wait_until("one upload to begin", lambda: store.waiting == 1, 3)
    store.gate.set()
    await durable(archiver, TP0, 200)
    assert set(await partitions(store, "t", "id-1")) == {0}


async def test_a_partition_stores_its_segments_in_order() -> None:
    store = SlowStore()
    archiver = sink(store, segment_bytes=100)
    await begin(archiver, [TP0])
    store.gate.clear()
    await archiver.handle({TP0: batch(0, 50)})
    second = asyncio.create_task(archiver.handle({TP0: batch(50, 100)}))
    await wait_until("the first upload to begin", lambda: store.waiting == 1, 3)
    assert not second.done()
    store.gate.set()
    assert await second == {TP0: 50}
    await durable(archiver, TP0, 100)
    chain = (await partitions(store, "t", "id-1"))[0]
    assert [(m.start_offset, m.next_offset) for m in chain] == [(0, 50), (50, 100)]


async def test_a_zombie_loses_and_goes_on_from_the_winners_end() -> None:
    store = SlowStore()
    zombie, successor = sink(store, writer="zombie"), sink(store, writer="successor")
    await begin(zombie, [TP0])
    await zombie.handle({TP0: batch(0, 50)})  # paused here, and taken for dead
    assert await begin(successor, [TP0]) == {TP0: 0}
    assert await successor.handle({TP0: batch(0, 30)}) == {TP0: 30}  # at once, for somebody died here
    assert await successor.release([TP0]) == {}
    assert await zombie.release([TP0]) == {}
    assert await begin(zombie, [TP0]) == {TP0: 30}
    await zombie.handle({TP0: batch(30, 50)})
    assert await zombie.release([TP0]) == {TP0: 50}
    assert await archived(store) == {0: records(0, 50)}
    (report,) = await verify(store)
    assert (report.problems, report.notes) == ([], [])


async def test_a_zombie_that_is_uploading_loses_too() -> None:
    slow = SlowStore()
    store = SlowStore(slow)
    zombie, successor = sink(slow, segment_bytes=100), sink(store)
    await begin(zombie, [TP0])
    slow.gate.clear()
    await zombie.handle({TP0: batch(0, 50)})
    await wait_until("the upload to begin", lambda: slow.waiting == 1, 3)
    assert await begin(successor, [TP0]) == {TP0: 0}
    await successor.handle({TP0: batch(0, 30)})
    assert await successor.release([TP0]) == {TP0: 30}
    slow.gate.set()
    with pytest.raises(Transient, match="going on from 30"):
        await wait_until("the zombie to hear of it", lambda: zombie.handle({}), 3)
    assert await begin(zombie, [TP0]) == {TP0: 30}
    assert await archived(store) == {0: records(0, 30)}
    (report,) = await verify(store)
    assert (report.problems, report.notes) == ([], [])


async def test_a_restart_goes_on_from_the_archive_and_tells_the_group() -> None:
    store = SlowStore()
    first = sink(store)
    await begin(first, [TP0])
    await first.handle({TP0: batch(0, 5)})
    await first.release([TP0])  # the group never heard of it: killed here
    again = sink(store)
    assert await begin(again, [TP0, TP1]) == {TP0: 5, TP1: 0}
    assert await again.handle({}) == {TP0: 5}
    assert await again.handle({}) == {}


async def test_a_crash_before_the_manifest_leaves_files_that_the_next_removes() -> None:
    store = SlowStore()
    crashing = sink(store)
    await begin(crashing, [TP0])
    await crashing.handle({TP0: batch(0, 5)})
    taken: list[str] = []

    async def crash(key: str, data: bytes) -> bool:
        taken.append(key)
        raise ConnectionError("killed")

    store.put_if_absent = crash  # type: ignore[method-assign]
    await crashing.release([TP0])
    del store.put_if_absent
    assert len(taken) == 1
    assert len(store.objects) == 1
    (report,) = await verify(store)
    assert len(report.notes) == 1
    again = sink(store)
    assert await begin(again, [TP0]) == {TP0: 0}
    await again.handle({TP0: batch(0, 8)})
    await again.release([TP0])
    assert await archived(store) == {0: records(0, 8)}
    (report,) = await verify(store)
    assert (report.problems, report.notes, report.records) == ([], [], 8)


async def test_a_topic_made_anew_is_never_mixed_with_the_old() -> None:
    store, facts = SlowStore(), FakeFacts()
    archiver = sink(store, facts)
    await begin(archiver, [TP0], facts)
    await archiver.handle({TP0: batch(0, 9)})
    facts.ids["t"] = "id-2"  # what was fetched was fetched by the old id
    assert await archiver.release([TP0]) == {TP0: 9}
    assert await begin(archiver, [TP0], facts) == {TP0: 0}
    await archiver.handle({TP0: batch(0, 3)})
    assert await archiver.release([TP0]) == {TP0: 3}
    assert await archived(store) == {0: records(0, 9)}
    assert await archived(store, "id-2") == {0: records(0, 3)}


async def test_offsets_that_go_back_begin_again() -> None:
    archiver = sink(SlowStore())
    await begin(archiver, [TP0])
    await archiver.handle({TP0: batch(0, 5)})
    with pytest.raises(Transient, match="went back"):
        await archiver.handle({TP0: batch(4, 6)})


async def test_what_was_gone_before_archiving_is_said() -> None:
    store, facts = SlowStore(), FakeFacts()
    facts.starts[TP0] = 700
    archiver = sink(store, facts)
    assert await begin(archiver, [TP0], facts) == {TP0: 0}
    await archiver.handle({TP0: batch(700, 705)})
    await archiver.release([TP0])
    (report,) = await verify(store)
    assert "offsets 0 to 699 were gone from the topic before they were archived" in report.problems[0]
    assert report.complete_from == {0: 700}


async def test_what_can_not_be_read_again_is_stored_before_it_is_dropped() -> None:
    store, facts = SlowStore(), FakeFacts()
    archiver = sink(store, facts)
    await begin(archiver, [TP0], facts)
    await archiver.handle({TP0: batch(0, 5)})
    facts.starts[TP0] = 9
    assert await begin(archiver, [TP0], facts) == {TP0: 5}
    assert metrics.GONE.labels("t", 0)._value.get() == 4
    await archiver.handle({TP0: batch(9, 12)})
    assert await archiver.release([TP0]) == {TP0: 12}
    assert await archived(store) == {0: [*records(0, 5), *records(9, 12)]}
    (report,) = await verify(store)
    assert "offsets 5 to 8 were gone" in report.problems[0]


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from([f"{7:020d}.json", "rubbish", "99999999999999999999999.json", "x/y.json"])
    | st.text(string.printable, min_size=1, max_size=40),
    data=st.binary(max_size=60) | st.sampled_from([b"", b"{}", b"[]", b"null", b'{"version": 1}', b'{"objects": 5']),
)
async def test_whatever_lies_among_the_manifests_stops_its_own_partition_alone(name: str, data: bytes) -> None:
    store = SlowStore()
    store.objects[PATH.manifests + name] = data
    archiver, paused, clock = paused_sink(store, segment_bytes=10)
    assert await begin(archiver, [TP0, TP1]) == {TP1: 0}
    await archiver.handle({TP0: batch(0, 9), TP1: batch(0, 9)})  # a fetch may have been on its way
    await durable(archiver, TP1, 9)
    assert paused.places == {TP0}
    assert str(paused.reason()).startswith("t/0 is paused at offset ")
    assert "BadManifest" in str(paused.reason())
    del store.objects[PATH.manifests + name]
    assert TP0 not in await archiver.handle({})
    assert paused.take_resumed() == {}  # it is not time yet
    clock.now += 1
    await archiver.handle({})
    assert paused.take_resumed() == {TP0: 0}
    paused.go_on(TP0)
    assert paused.reason() is None
    await archiver.handle({TP0: batch(0, 9)})
    await durable(archiver, TP0, 9)
    assert await archived(store) == {0: records(0, 9), 1: records(0, 9)}


async def test_records_that_can_not_be_spliced_pause_their_partition() -> None:
    archiver, paused, clock = paused_sink(SlowStore(), segment_bytes=10)
    await begin(archiver, [TP0, TP1])
    with capture_logs() as logs:
        await archiver.handle({TP0: DAMAGED, TP1: batch(0, 9)})
        await durable(archiver, TP1, 9)
        await wait_until("the partition to be paused", lambda: _handled(archiver, paused), 3)
    (entry,) = [each for each in logs if each["event"].startswith("partition paused")]
    assert (entry["topic"], entry["partition"], entry["offset"]) == ("t", 0, 3)
    assert "an integer longer than 10 bytes" in entry["reason"]
    for attempt in (1, 2, 3):  # each is later than the one before
        tried = f"tried {attempt} times"
        await wait_until(tried, lambda tried=tried: _told(archiver, paused, tried), 3)
        assert "t/0 is paused at offset 3 (CanNotBeSpliced: " in str(paused.reason())
        clock.now += 2.0 ** (attempt - 1)
        await archiver.handle({})
        assert paused.take_resumed() == {TP0: 0}
        paused.go_on(TP0)
        assert paused.reason() is not None  # read, but not past it yet
        await archiver.handle({TP0: DAMAGED})
        assert paused.places == {TP0}
    clock.now += 8
    await archiver.handle({})
    paused.go_on(TP0)
    await archiver.handle({TP0: batch(3, 9)})
    await durable(archiver, TP0, 9)
    assert paused.reason() is None


async def test_a_segment_that_can_not_be_stored_pauses_its_partition() -> None:
    store = SlowStore()
    archiver, paused, clock = paused_sink(store, segment_bytes=10)
    await begin(archiver, [TP0, TP1])
    store.objects[PATH.manifest(0)] = b"rubbish"  # put there while it runs
    await archiver.handle({TP0: batch(0, 9), TP1: batch(0, 9)})
    await durable(archiver, TP1, 9)
    await wait_until("the partition to be paused", lambda: _handled(archiver, paused), 3)
    assert "t/0 is paused at offset 0 (BadManifest: " in str(paused.reason())
    del store.objects[PATH.manifest(0)]
    clock.now += 1
    await archiver.handle({})
    assert paused.take_resumed() == {TP0: 0}
    paused.go_on(TP0)
    await archiver.handle({TP0: batch(0, 9)})
    await durable(archiver, TP0, 9)
    assert paused.reason() is None
    (report,) = await verify(store)
    assert (report.problems, report.notes) == ([], [])


async def _told(archiver: ArchiveSink, paused: Paused, words: str) -> bool:
    await archiver.handle({})
    return words in str(paused.reason())


async def _handled(archiver: ArchiveSink, paused: Paused) -> bool:
    await archiver.handle({})
    return bool(paused.places)


async def test_no_memory_too_much_is_waited_for_when_the_only_one_is_paused() -> None:
    store = SlowStore()
    archiver, paused, _ = paused_sink(store, held=2000)
    await begin(archiver, [TP0])
    store.objects[PATH.manifest(0)] = b"rubbish"
    await archiver.handle({TP0: batch(0, 99, 60)})
    await archiver.handle({TP0: batch(99, 300, 60)})
    assert paused.places == {TP0}
    assert await archiver.release([TP0]) == {}
    assert paused.reason() is None


@pytest.mark.parametrize("error", [ClientError({"Error": {"Code": "AccessDenied"}}, "Get"), InvalidTopicError("x")])
async def test_what_is_no_partitions_fault_is_raised(error: Exception) -> None:
    store = SlowStore()

    async def refused(_key: str) -> bytes:
        raise error

    store.objects[PATH.manifest(0)] = b"x"
    store.get = refused  # type: ignore[method-assign, assignment]
    archiver, paused, _ = paused_sink(store)
    with pytest.raises(type(error)):
        await begin(archiver, [TP0, TP1])
    assert paused.places == set()


async def test_a_store_that_is_away_pauses_nothing() -> None:
    store = SlowStore()
    archiver, paused, _ = paused_sink(store, segment_bytes=10)
    await begin(archiver, [TP0])
    store.down = True
    await archiver.handle({TP0: batch(0, 9)})
    with pytest.raises(ConnectionError):
        await wait_until("the failure to be heard of", lambda: archiver.handle({}), 3)
    assert paused.places == set()


async def test_a_new_assignment_does_not_try_before_it_is_time() -> None:
    store, facts = SlowStore(), FakeFacts()
    store.objects[PATH.manifest(0)] = b"rubbish"
    archiver, paused, clock = paused_sink(store, facts=facts)
    assert await begin(archiver, [TP0, TP1], facts) == {TP1: 0}
    del store.objects[PATH.manifest(0)]
    assert await begin(archiver, [TP0, TP1], facts) == {TP1: 0}
    clock.now += 1
    assert await begin(archiver, [TP0, TP1], facts) == {TP0: 0, TP1: 0}
    assert await begin(archiver, [TP1], facts) == {TP1: 0}
    assert paused.reason() is None  # somebody else's now
