"""How far a deleted topic was read: what is missing of its end is named, however many archivers stated something."""

import pytest
from atlas_archive.chain.ends import End, Hole, ends, holes, state_end
from atlas_archive.chain.manifests import BadManifest
from atlas_archive.proof.gaps import accept
from atlas_archive.proof.reports import LiveTopic, TopicReport
from atlas_archive.proof.verify import verify
from atlas_archive.store import MemoryStore
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.archive.actors import PATH, store_one

SPOTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted), max_size=4)


class Gone:
    """Brokers that have no such topic, or one of another id."""

    def __init__(self, present: str | None = None) -> None:
        self.present = present

    async def describe(self, topic: str) -> LiveTopic | None:
        return LiveTopic(self.present, {}) if self.present else None

    async def read(self, topic: str, partition: int, start: int, stop: int):  # type: ignore[no-untyped-def]
        raise AssertionError("there is nothing to read")
        yield


async def report(store: MemoryStore, present: str | None = None) -> TopicReport:
    (found,) = await verify(store, reader=Gone(present))
    return found


@given(stated=SPOTS, archived=st.integers(0, 50))
async def test_what_is_missing_is_what_nobody_read_and_somebody_saw(stated: list[list[int]], archived: int) -> None:
    store = MemoryStore()
    for read_to, end in stated:
        await state_end(store, PATH, End(0, read_to, end, "w", "now"))
    found = holes(await ends(store, "t", "id-1"), {0: archived} if archived else {})
    read = max([archived, *(read_to for read_to, _ in stated)])
    seen = max([-1, *(end for _, end in stated)])
    if seen >= read:
        assert found == ([Hole(0, read, seen)] if read < seen else [])
    else:
        assert found == ([Hole(0, archived, None)] if archived else [])


async def test_an_end_that_was_not_archived_is_a_problem_until_it_is_accepted() -> None:
    store = MemoryStore()
    next_offset = (await store_one(store, 0, 10)).manifest.next_offset
    await state_end(store, PATH, End(0, next_offset, next_offset + 5, "w", "now"))
    (problem,) = (await report(store)).problems
    assert f"offsets {next_offset} to {next_offset + 4} were on the topic when it was deleted" in problem
    assert problem.endswith("atlas archive accept t")
    (offline,) = await verify(store)
    assert offline.problems == [problem]
    ((path, stated),) = await accept(store, "t", None, "a topic of a test")
    assert (path, [gap.told() for gap in stated]) == (PATH, [f"{next_offset} - {next_offset + 4}"])
    after = await report(store)
    assert after.problems == []
    assert after.notes[0].endswith("a topic of a test")
    await state_end(store, PATH, End(0, next_offset, next_offset + 6, "w", "now"))
    assert len((await report(store)).problems) == 1  # more is missing than was accepted


async def test_an_end_that_nobody_saw_is_a_problem_until_it_is_accepted() -> None:
    store = MemoryStore()
    next_offset = (await store_one(store, 0, 10)).manifest.next_offset
    assert (await verify(store))[0].problems == []  # without the brokers nobody knows that it is gone
    assert await accept(store, "t", PATH.incarnation, "too early") == [(PATH, [])]
    (problem,) = (await report(store, "id-2")).problems
    assert f"what it had from offset {next_offset} on, if anything, is not archived" in problem
    assert [gap.told() for _, gaps in await accept(store, "t", "id-2", "why") for gap in gaps] == [
        f"from {next_offset} on"
    ]
    assert (await report(store, "id-2")).problems == []
    await store_one(store, next_offset, 10)
    assert len((await report(store, "id-2")).problems) == 1  # it was for that end alone


async def test_an_end_of_which_nothing_is_archived_is_named_too() -> None:
    store = MemoryStore()
    await state_end(store, PATH, End(0, 0, 5, "w", "now"))
    assert "offsets 0 to 4" in (await report(store)).problems[0]
    assert len((await accept(store, "t", None, "why"))[0][1]) == 1
    assert (await report(store)).problems == []


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"partition": "x"}', b"null", b"\xff"])
async def test_a_statement_that_does_not_read_is_named(data: bytes) -> None:
    store = MemoryStore()
    key = f"{PATH.root}ends/partition=0/{0:020d}-{5:020d}.json"
    store.objects[key] = data
    with pytest.raises(BadManifest, match="does not read as a statement about an end"):
        await ends(store, "t", "id-1")
    assert key in (await report(store)).problems[0]
