"""A process that dies of records again and again: the place is found, its partition paused, all others archived."""

from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_archive.chain.deaths import Reader, forget_deaths, note_reader, reader_of
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.proof.verify import verify
from atlas_archive.store import MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archiver.crashes import DEATHS_ALONE
from atlas_kafka.consuming.paused import Paused
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.unit.archiver.sinks import TP0, TP1, FakeFacts, SlowStore, archived, batch, begin, records, sink

PATH = PartitionPath("t", "id-1", 0)
EACH = 5


class Killed(BaseException):
    """SIGSEGV, or the kernel's want of memory: nothing of the process is left."""


@dataclass(frozen=True)
class Deadly:
    """A batch that nobody survives."""

    base_offset: int
    offset: int
    base_timestamp: int = 0
    append_time_ms: int | None = None
    records: int = EACH

    @property
    def start_offset(self) -> int:
        return self.base_offset

    @property
    def at_most(self) -> int:
        return 0

    def data(self) -> bytes:
        raise Killed

    def opened(self) -> "Deadly":
        raise Killed


def topic(count: int, deadly: int) -> list[Any]:
    batches: list[Any] = [pack(records(n * EACH, (n + 1) * EACH)) for n in range(count)]
    if 0 <= deadly < count:
        batches[deadly] = Deadly(deadly * EACH, deadly * EACH + EACH - 1)
    return batches


async def life(
    store: MemoryStore, name: str, topics: dict[TopicPartition, list[Any]], polled: int, paused: Paused, size: int
) -> None:
    """One process from its start until it has archived all there is. Raises Killed."""
    archiver = sink(store, writer=name, paused=paused, segment_bytes=size)
    starts = await begin(archiver, list(topics))
    rest = {tp: [each for each in topics[tp] if each.base_offset >= start] for tp, start in starts.items()}
    while any(rest.values()):
        try:
            await archiver.handle({tp: batches[:polled] for tp, batches in rest.items() if batches})
        except Killed:
            await archiver._held.drop(list(topics))  # nothing of it goes on
            raise
        rest = {tp: batches[polled:] for tp, batches in rest.items()}
    await archiver.release(list(topics))


@settings(max_examples=40, deadline=None)
@given(
    counts=st.tuples(st.integers(1, 12), st.integers(0, 12)),
    deadly=st.integers(0, 11),
    polled=st.integers(1, 6),
    size=st.sampled_from([1, 200, 10**6]),
)
async def test_the_place_is_found_and_all_else_is_archived(
    counts: tuple[int, int], deadly: int, polled: int, size: int
) -> None:
    store, deadly = SlowStore(), deadly % counts[0]
    topics = {TP0: topic(counts[0], deadly), TP1: topic(counts[1], -1)}
    for deaths in range(10):
        paused = Paused("archiver")
        try:
            await life(store, f"process {deaths}", topics, polled, paused, size)
        except Killed:
            continue
        break
    assert deaths <= 3 + DEATHS_ALONE
    found = await archived(store)
    assert found.get(0, []) == records(0, deadly * EACH)
    assert found.get(1, []) == records(0, counts[1] * EACH)
    assert (await reader_of(store, PATH)) is not None
    store.objects = {key: data for key, data in store.objects.items() if key.startswith("topics/")}
    assert [problem for report in await verify(store) for problem in report.problems] == []


async def test_it_is_said_with_its_place_and_looked_into_again_when_that_is_asked_for() -> None:
    store, topics = SlowStore(), {TP0: topic(4, 2)}
    with capture_logs() as logs:
        for number in range(4):
            with pytest.raises(Killed):
                await life(store, f"process {number}", topics, 4, Paused("archiver"), 10**6)
        now = [0.0]
        paused = Paused("archiver", lambda: now[0])
        archiver = sink(store, writer="the fifth", paused=paused)
        assert await begin(archiver, [TP0, TP1]) == {TP1: 0}
    assert "t/0 is paused at offset 10 (DiedOver: the archiver died" in str(paused.reason())
    said = [each for each in logs if each["event"] == "the process before died here"]
    assert (said[0]["offset"], said[0]["log_level"]) == (0, "warning")
    assert all(each["topic"] == "t" and each["partition"] == 0 for each in said)
    now[0] += 60
    await archiver.handle({})
    assert TP0 in paused.places  # not tried again, however long it waits
    assert [key async for key in forget_deaths(store, "t")]
    now[0] += 60
    await archiver.handle({})
    assert paused.take_resumed() == {TP0: 10}


async def test_a_loop_of_crashes_at_one_place_is_an_error_with_that_place() -> None:
    store = SlowStore()
    with capture_logs() as logs:
        for number in range(5):  # each dies before it has looked into anything
            await begin(sink(store, writer=f"process {number}"), [TP0])
    said = [(each["deaths"], each["log_level"], each["offset"]) for each in logs if "died here" in each["event"]]
    assert said == [(1, "warning", 0), (2, "warning", 0), (3, "error", 0), (4, "error", 0)]
    archiver = sink(store, writer="last")
    await begin(archiver, [TP0])
    await archiver.handle({TP0: batch(0, 9)})
    await archiver.release([TP0])
    assert await archived(store) == {0: records(0, 9)}
    assert await reader_of(store, PATH) is None


async def test_what_retention_has_removed_is_not_waited_for() -> None:
    store, facts = SlowStore(), FakeFacts()
    await note_reader(store, PATH, Reader("dead", 0, 3, 10, 15, 1, DEATHS_ALONE))
    assert await begin(sink(store, facts), [TP0], facts) == {}
    facts.starts[TP0] = 15
    assert await begin(sink(store, facts), [TP0], facts) == {TP0: 0}


async def test_a_lack_of_memory_is_no_end_in_order() -> None:
    store = SlowStore()
    archiver = sink(store, writer="one")
    await begin(archiver, [TP0])

    class Large(Deadly):
        def opened(self) -> "Deadly":
            raise MemoryError

    with pytest.raises(MemoryError):
        await archiver.handle({TP0: [Large(0, 4)]})
    await archiver.release([TP0])
    with capture_logs() as logs:
        await begin(sink(store, writer="two"), [TP0])
    assert [each["event"] for each in logs] == ["the process before died here"]


async def test_an_ordinary_life_marks_nothing() -> None:
    store = SlowStore()
    archiver = sink(store)
    await begin(archiver, [TP0])
    await archiver.handle({TP0: batch(0, 9)})
    note = await reader_of(store, PATH)
    assert note == Reader("w", 0)
    await archiver.release([TP0])
    assert not [key for key in store.objects if key.startswith("readers/")]
