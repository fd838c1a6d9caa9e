"""One suite over the store in memory and a real one: what the archive relies on holds for both."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from atlas_archive.store import PART_BYTES, MemoryStore, MissingObject, ObjectStore, S3Address, open_store
from atlas_local.testing import Servers


@pytest.fixture
async def s3_store(servers: Servers, bucket: str) -> AsyncIterator[ObjectStore]:
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key, servers.s3_region)
    async with open_store(address) as opened:
        await opened.create()  # one that is there is left as it is
        yield opened


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    found: ObjectStore = MemoryStore() if request.param == "memory" else request.getfixturevalue("s3_store")
    return found


async def keys(store: ObjectStore, prefix: str, **options: object) -> list[str]:
    return [item.key async for item in store.list(prefix, **options)]  # type: ignore[arg-type]


async def test_what_is_put_can_be_got(store: ObjectStore) -> None:
    await store.put("a/b", [b"one", b"", b"two"])
    assert await store.get("a/b") == b"onetwo"
    await store.put("a/b", [b"other"])
    assert await store.get("a/b") == b"other"


async def test_a_missing_object_is_named(store: ObjectStore) -> None:
    with pytest.raises(MissingObject, match="a/none") as caught:
        await store.get("a/none")
    assert caught.value.key == "a/none"


async def test_a_large_object_comes_back_whole(store: ObjectStore) -> None:
    block = os.urandom(1024 * 1024 + 7)
    chunks = [block] * (PART_BYTES // len(block) * 2 + 2)
    await store.put("large", chunks)
    assert await store.get("large") == b"".join(chunks)


@pytest.mark.parametrize("size", [0, 5, PART_BYTES, 2 * PART_BYTES, 2 * PART_BYTES + 5])
async def test_what_is_streamed_comes_back_whole(store: ObjectStore, size: int) -> None:
    data = os.urandom(size)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, size, 700_001):
            yield data[at : at + 700_001]

    await store.put_stream("streamed", chunks())
    assert await store.get("streamed") == data


async def test_a_stream_that_breaks_leaves_nothing(store: ObjectStore) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(PART_BYTES + 1)
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        await store.put_stream("broken", chunks())
    assert await keys(store, "broken") == []


async def test_only_the_first_put_if_absent_wins(store: ObjectStore) -> None:
    assert await store.put_if_absent("m/1", b"first")
    assert not await store.put_if_absent("m/1", b"second")
    assert await store.get("m/1") == b"first"
    for round_ in range(3):
        bodies = [f"writer {i}".encode() for i in range(5)]
        won = await asyncio.gather(*(store.put_if_absent(f"race/{round_}", body) for body in bodies))
        assert sum(won) == 1
        assert await store.get(f"race/{round_}") == bodies[won.index(True)]


async def test_lists_by_key(store: ObjectStore) -> None:
    names = ["x/10", "x/2", "x/1", "y/1", "x/a=1/b", "x"]
    for name in names:
        await store.put(name, [name.encode()])
    assert await keys(store, "x/") == sorted(name for name in names if name.startswith("x/"))
    assert await keys(store, "x/", start_after="x/10") == ["x/2", "x/a=1/b"]
    assert await keys(store, "x/", start_after="x/1~") == ["x/2", "x/a=1/b"]
    assert await keys(store, "x/", limit=2) == ["x/1", "x/10"]
    assert await keys(store, "none/") == []
    sizes = {item.key: item.size async for item in store.list("x/")}
    assert sizes["x/10"] == 4


async def test_a_listing_goes_on_past_a_page(store: ObjectStore) -> None:
    names = [f"many/{i:05d}" for i in range(1005)]
    for at in range(0, len(names), 100):
        await asyncio.gather(*(store.put(name, [b"."]) for name in names[at : at + 100]))
    assert await keys(store, "many/") == names
    assert await keys(store, "many/", limit=1002) == names[:1002]


async def test_delete(store: ObjectStore) -> None:
    await store.put("gone", [b"x"])
    await store.delete("gone")
    await store.delete("gone")
    assert await keys(store, "gone") == []
    assert await store.put_if_absent("gone", b"again")
