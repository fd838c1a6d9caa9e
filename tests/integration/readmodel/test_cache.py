"""A row from before a write must never come back after it; without Redis nothing fails."""

from typing import Any

import pytest
from atlas_local.waiting import wait_until
from atlas_readmodel.cache import Cache, open_cache

pytestmark = pytest.mark.integration
ROW: dict[str, Any] = {"user_id": "u1", "email": "ann@example.com", "country": None}


async def test_what_was_put_is_found(cache: Cache, unique: str) -> None:
    assert await cache.get(unique, "u1") is None
    assert await cache.put(unique, "u1", ROW, epoch=1, offset=5)
    assert await cache.get(unique, "u1") == ROW
    assert await cache.get(unique, "u2") is None


async def test_a_slow_reader_can_not_put_an_older_row_back(cache: Cache, unique: str) -> None:
    slow_row, slow_offset = ROW | {"email": "old"}, 5  # read before the write at offset 9
    assert await cache.lay_floors(unique, {"u1": 9})
    assert not await cache.put(unique, "u1", slow_row, epoch=1, offset=slow_offset)
    assert await cache.get(unique, "u1") is None
    assert await cache.put(unique, "u1", ROW, epoch=1, offset=9)
    assert await cache.get(unique, "u1") == ROW


async def test_a_write_outdates_what_is_cached(cache: Cache, unique: str) -> None:
    await cache.put(unique, "u1", ROW, epoch=1, offset=5)
    await cache.lay_floors(unique, {"u1": 6, "u2": 7})
    assert await cache.get(unique, "u1") is None


@pytest.mark.parametrize("later", [3, 9, 11])
async def test_whatever_is_written_next_outdates_the_row_for_offsets_of_two_partitions_say_nothing(
    cache: Cache, unique: str, later: int
) -> None:
    """Case 41: a key may come from any partition, or from a topic made anew."""
    await cache.put(unique, "u1", ROW, epoch=1, offset=9)
    await cache.lay_floors(unique, {"u1": later})
    assert await cache.get(unique, "u1") is None
    if later != 9:  # of the same offset: the one thing that can't be told apart
        assert not await cache.put(unique, "u1", ROW, epoch=1, offset=9)
    assert await cache.put(unique, "u1", ROW | {"email": "new"}, epoch=1, offset=later)
    assert await cache.get(unique, "u1") == ROW | {"email": "new"}


async def test_the_row_that_is_there_stays_while_nothing_is_written(cache: Cache, unique: str) -> None:
    await cache.put(unique, "u1", ROW, epoch=1, offset=9)
    for offset in (8, 10):  # of another partition, by a reader that was slow
        assert not await cache.put(unique, "u1", ROW | {"email": "old"}, epoch=1, offset=offset)
    assert await cache.get(unique, "u1") == ROW


async def test_a_new_epoch_outdates_everything(cache: Cache, unique: str) -> None:
    await cache.put(unique, "u1", ROW, epoch=1, offset=90)
    await cache.raise_epoch(unique, 2)
    assert await cache.get(unique, "u1") is None
    assert not await cache.put(unique, "u1", ROW, epoch=1, offset=99)  # a reader from before the swap
    # After a rollback rows have lower offsets, and are right.
    assert await cache.put(unique, "u1", ROW | {"email": "back"}, epoch=2, offset=40)
    assert await cache.get(unique, "u1") == ROW | {"email": "back"}


async def test_an_epoch_never_falls(cache: Cache, unique: str) -> None:
    await cache.raise_epoch(unique, 3)
    await cache.raise_epoch(unique, 2)
    assert not await cache.put(unique, "u1", ROW, epoch=2, offset=1)


async def test_large_offsets_and_strange_keys(cache: Cache, unique: str) -> None:
    key, offset = 'a"b\\c\nd\x00é€', 2**52 + 1
    await cache.lay_floors(unique, {key: offset})
    assert not await cache.put(unique, key, ROW, epoch=1, offset=offset - 1)
    assert await cache.put(unique, key, ROW, epoch=1, offset=offset)
    assert await cache.get(unique, key) == ROW


async def test_many_floors_at_once(cache: Cache, unique: str) -> None:
    floors = {f"k{n}": n for n in range(20_000)}
    # The cache gives Redis little time, on purpose; on a busy machine it may take more than one attempt.
    await wait_until("all floors to be laid", lambda: cache.lay_floors(unique, floors), 20)
    assert not await cache.put(unique, "k19999", ROW, epoch=1, offset=19_998)
    assert await cache.lay_floors(unique, {})


async def test_without_redis_everything_answers(unique: str) -> None:
    async with open_cache("redis://127.0.0.1:1/0") as cache:
        assert await cache.get(unique, "u1") is None
        assert not await cache.put(unique, "u1", ROW, epoch=1, offset=1)
        assert not await cache.lay_floors(unique, {"u1": 1})
        assert not await cache.raise_epoch(unique, 1)


async def test_with_an_open_breaker_redis_is_not_asked(unique: str) -> None:
    from atlas_runtime.breakers import open_breaker

    breaker = await open_breaker(f"redis {unique}", failures=2, retry_after_s=60)
    async with open_cache("redis://127.0.0.1:1/0", breaker) as cache:
        for _ in range(5):
            assert await cache.get(unique, "u1") is None
            assert not await cache.put(unique, "u1", ROW, epoch=1, offset=1)
    assert breaker.context.state == "opened"
