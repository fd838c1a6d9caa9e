"""The archiver's sink over a store in memory: when segments are closed, and what happens when a step fails."""

import asyncio
from dataclasses import replace

import pytest
from atlas_archive.batches import pack
from atlas_archive.listing import partitions
from atlas_archive.verify import verify
from atlas_archiver import metrics
from atlas_kafka.fates import Transient
from atlas_local.waiting import wait_until
from structlog.testing import capture_logs

from tests.unit.archiver.sinks import TP0, TP1, FakeFacts, SlowStore, archived, batch, durable, records, sink


async def test_a_segment_is_closed_by_size() -> None:
    store = SlowStore()
    archiver = sink(store, segment_bytes=1000)
    assert await archiver.start_offsets([TP0]) == {TP0: 0}
    assert await archiver.handle({TP0: batch(0, 10)}) == {}
    assert store.objects == {}
    await archiver.handle({TP0: batch(10, 100)})
    await durable(archiver, TP0, 100)
    assert await archived(store) == {0: records(0, 100)}


async def test_a_segment_is_closed_by_age() -> None:
    store = SlowStore()
    archiver = sink(store, age_s=0.2)
    await archiver.start_offsets([TP0, TP1])
    assert await archiver.handle({TP1: batch(3, 5)}) == {}
    await durable(archiver, TP1, 5)
    assert await archived(store) == {1: records(3, 5)}


@pytest.mark.parametrize("heard", [True, False])
async def test_what_follows_a_lost_segment_is_never_archived(heard: bool) -> None:
    """A writer that was paused: its place is taken when it wakes up, and the open segment does not fit any more."""
    store = SlowStore()
    paused, other = sink(store, segment_bytes=1000), sink(SlowStore(store), writer="other")
    for archiver in (paused, other):
        await archiver.start_offsets([TP0])
    store.gate.clear()
    await paused.handle({TP0: batch(0, 100)})  # on its way
    await paused.handle({TP0: batch(100, 110)})  # open
    await other.handle({TP0: batch(0, 150)})
    assert await other.release([TP0]) == {TP0: 150}
    store.gate.set()
    if heard:
        with pytest.raises(Transient, match="going on from 150"):
            await durable(paused, TP0, 100)
    assert await paused.release([TP0]) == {}
    assert await archived(store) == {0: records(0, 150)}
    assert await paused.start_offsets([TP0]) == {TP0: 150}


async def test_release_archives_what_is_held() -> None:
    store = SlowStore()
    archiver = sink(store)
    await archiver.start_offsets([TP0, TP1])
    await archiver.handle({TP0: batch(0, 5), TP1: batch(0, 7)})
    assert await archiver.release([TP0]) == {TP0: 5}
    assert await archived(store) == {0: records(0, 5)}
    assert await archiver.release([TP1]) == {TP1: 7}


async def test_a_store_that_is_away_loses_and_doubles_nothing() -> None:
    store = SlowStore()
    archiver = sink(store, segment_bytes=100)
    await archiver.start_offsets([TP0])
    store.down = True
    assert await archiver.handle({TP0: batch(0, 100)}) == {}
    with pytest.raises(ConnectionError):
        await wait_until("the failure to be heard of", lambda: archiver.handle({}), 3)
    assert (await archiver.start_offsets([TP0])) == {TP0: 0}
    store.down = False
    await archiver.handle({TP0: batch(0, 60)})
    await durable(archiver, TP0, 60)
    assert await archived(store) == {0: records(0, 60)}


async def test_release_without_a_store_gives_up_quietly() -> None:
    store = SlowStore()
    archiver = sink(store)
    await archiver.start_offsets([TP0])
    await archiver.handle({TP0: batch(0, 5)})
    store.down = True
    assert await archiver.release([TP0]) == {}
    assert await archiver.start_offsets([TP0]) == {TP0: 0}


async def test_memory_is_bounded_while_the_store_is_slow() -> None:
    store = SlowStore()
    archiver = sink(store, held=20_000)
    await archiver.start_offsets([TP0, TP1])
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
    await archiver.start_offsets([TP0, TP1])
    store.gate.clear()
    assert await archiver.handle({TP0: batch(0, 200, 60), TP1: batch(0, 100, 60)}) == {}  # nothing is waited for
    await wait_until("one upload to begin", lambda: store.waiting == 1, 3)
    store.gate.set()
    await durable(archiver, TP0, 200)
    assert set(await partitions(store, "t", "id-1")) == {0}


async def test_a_partition_stores_its_segments_in_order() -> None:
    store = SlowStore()
    archiver = sink(store, segment_bytes=100)
    await archiver.start_offsets([TP0])
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
    await zombie.start_offsets([TP0])
    await zombie.handle({TP0: batch(0, 50)})  # paused here, and taken for dead
    assert await successor.start_offsets([TP0]) == {TP0: 0}
    await successor.handle({TP0: batch(0, 30)})
    assert await successor.release([TP0]) == {TP0: 30}
    assert await zombie.release([TP0]) == {}
    assert await zombie.start_offsets([TP0]) == {TP0: 30}
    await zombie.handle({TP0: batch(30, 50)})
    assert await zombie.release([TP0]) == {TP0: 50}
    assert await archived(store) == {0: records(0, 50)}
    (report,) = await verify(store)
    assert (report.problems, report.notes) == ([], [])


async def test_a_zombie_that_is_uploading_loses_too() -> None:
    slow = SlowStore()
    store = SlowStore(slow)
    zombie, successor = sink(slow, segment_bytes=100), sink(store)
    await zombie.start_offsets([TP0])
    slow.gate.clear()
    await zombie.handle({TP0: batch(0, 50)})
    await wait_until("the upload to begin", lambda: slow.waiting == 1, 3)
    assert await successor.start_offsets([TP0]) == {TP0: 0}
    await successor.handle({TP0: batch(0, 30)})
    assert await successor.release([TP0]) == {TP0: 30}
    slow.gate.set()
    with pytest.raises(Transient, match="going on from 30"):
        await wait_until("the zombie to hear of it", lambda: zombie.handle({}), 3)
    assert await zombie.start_offsets([TP0]) == {TP0: 30}
    assert await archived(store) == {0: records(0, 30)}
    (report,) = await verify(store)
    assert (report.problems, report.notes) == ([], [])


async def test_a_restart_goes_on_from_the_archive_and_tells_the_group() -> None:
    store = SlowStore()
    first = sink(store)
    await first.start_offsets([TP0])
    await first.handle({TP0: batch(0, 5)})
    await first.release([TP0])  # the group never heard of it: killed here
    again = sink(store)
    assert await again.start_offsets([TP0, TP1]) == {TP0: 5, TP1: 0}
    assert await again.handle({}) == {TP0: 5}
    assert await again.handle({}) == {}


async def test_a_crash_before_the_manifest_leaves_files_that_the_next_removes() -> None:
    store = SlowStore()
    crashing = sink(store)
    await crashing.start_offsets([TP0])
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
    assert await again.start_offsets([TP0]) == {TP0: 0}
    await again.handle({TP0: batch(0, 8)})
    await again.release([TP0])
    assert await archived(store) == {0: records(0, 8)}
    (report,) = await verify(store)
    assert (report.problems, report.notes, report.records) == ([], [], 8)


async def test_a_topic_made_anew_is_never_mixed_with_the_old() -> None:
    store, facts = SlowStore(), FakeFacts()
    archiver = sink(store, facts)
    await archiver.start_offsets([TP0])
    await archiver.handle({TP0: batch(0, 5)})
    await archiver.release([TP0])
    await archiver.start_offsets([TP0])
    await archiver.handle({TP0: batch(5, 9)})
    facts.ids["t"] = "id-2"  # these four may be of either
    assert await archiver.release([TP0]) == {}
    assert await archiver.start_offsets([TP0]) == {TP0: 0}
    await archiver.handle({TP0: batch(0, 3)})
    assert await archiver.release([TP0]) == {TP0: 3}
    assert await archived(store) == {0: records(0, 5)}
    assert await archived(store, "id-2") == {0: records(0, 3)}


async def test_offsets_that_go_back_begin_again() -> None:
    archiver = sink(SlowStore())
    await archiver.start_offsets([TP0])
    await archiver.handle({TP0: batch(0, 5)})
    with pytest.raises(Transient, match="went back"):
        await archiver.handle({TP0: batch(4, 6)})


async def test_a_crash_over_a_place_names_it() -> None:
    archiver = sink(SlowStore())
    await archiver.start_offsets([TP0])
    damaged = [replace(pack(records(3, 9)), packed=b"\xff" * 20)]
    with capture_logs() as logs, pytest.raises(ValueError, match="no record with number 0"):
        await archiver.handle({TP0: damaged})
    (entry,) = [each for each in logs if each["event"] == "can't be archived"]
    assert (entry["topic"], entry["partition"], entry["first_offset"], entry["last_offset"]) == ("t", 0, 3, 8)


async def test_what_was_gone_before_archiving_is_said() -> None:
    store, facts = SlowStore(), FakeFacts()
    facts.starts[TP0] = 700
    archiver = sink(store, facts)
    assert await archiver.start_offsets([TP0]) == {TP0: 0}
    await archiver.handle({TP0: batch(700, 705)})
    await archiver.release([TP0])
    (report,) = await verify(store)
    assert "offsets 0 to 699 were gone from the topic before they were archived" in report.problems[0]
    assert report.complete_from == {0: 700}


async def test_what_can_not_be_read_again_is_stored_before_it_is_dropped() -> None:
    store, facts = SlowStore(), FakeFacts()
    archiver = sink(store, facts)
    await archiver.start_offsets([TP0])
    await archiver.handle({TP0: batch(0, 5)})
    facts.starts[TP0] = 9
    assert await archiver.start_offsets([TP0]) == {TP0: 5}
    assert metrics.GONE.labels("t", 0)._value.get() == 4
    await archiver.handle({TP0: batch(9, 12)})
    assert await archiver.release([TP0]) == {TP0: 12}
    assert await archived(store) == {0: [*records(0, 5), *records(9, 12)]}
    (report,) = await verify(store)
    assert "offsets 5 to 8 were gone" in report.problems[0]
