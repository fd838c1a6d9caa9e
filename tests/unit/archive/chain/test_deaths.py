"""Notes of who archives a partition: whatever is in their place, they never keep anybody from archiving."""

from atlas_archive.chain.deaths import Reader, forget_deaths, forget_reader, note_reader, reader_of
from atlas_archive.proof.verify import verify
from atlas_archive.store import MemoryStore
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.archive.actors import PATH, store_one


async def test_a_note_comes_back_and_is_no_part_of_the_archive() -> None:
    store = MemoryStore()
    await store_one(store, 0, 10)
    reader = Reader("one", 10, 2, 10, 20, 1, 1, looking=True)
    await note_reader(store, PATH, reader)
    assert await reader_of(store, PATH) == reader
    (report,) = await verify(store)
    assert (report.problems, report.notes) == ([], [])
    await forget_reader(store, PATH)
    assert await reader_of(store, PATH) is None


async def test_deaths_are_forgotten_of_one_topic_alone() -> None:
    store = MemoryStore()
    other = type(PATH)("other", "id-1", 0)
    for path in (PATH, other):
        await note_reader(store, path, Reader("one", 0))
    assert len([key async for key in forget_deaths(store, PATH.topic)]) == 1
    assert await reader_of(store, PATH) is None
    assert await reader_of(store, other) is not None


@given(
    st.binary(max_size=40)
    | st.sampled_from([b"{}", b"[]", b"null", b'{"name": 1, "began_at": 2}', b'{"name": "x", "began_at": "y"}'])
)
async def test_rubbish_is_no_note(data: bytes) -> None:
    store = MemoryStore()
    await note_reader(store, PATH, Reader("one", 0))
    (key,) = store.objects
    store.objects[key] = data
    assert await reader_of(store, PATH) is None
