"""Read models that are documents in Redis: how they are read, and what becomes of them when Redis loses them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from atlas_local.testing import Servers
from atlas_readmodel.documents import Documents
from atlas_readmodel.postgres.writer import Advance, Batch, Fenced
from atlas_readmodel.reader import NotBuilt, Reader
from atlas_readmodel.redis.documents_reader import DocumentsReader
from atlas_readmodel.store import Unsuitable
from atlas_readmodel.stores import Stores, open_redis
from atlas_readmodel.token import Token

from tests.integration.readmodel.things import MODELS, batch, begun, no_more, row

pytestmark = pytest.mark.integration


@pytest.fixture
def reader(stores: Stores) -> Reader:
    return Reader(stores.pool, None, DocumentsReader(stores.redis, namespace=stores.namespace))


async def test_documents_are_read_from_the_live_generation(stores: Stores, reader: Reader) -> None:
    with pytest.raises(NotBuilt):
        await reader.documents("things")
    store = stores.of(MODELS["documents"])
    rows = await begun(store)
    await rows.write(batch(0, 2, row("a", 1), row("b", 2)))
    assert await reader.documents("things", ("a",)) == [{"id": "a", "n": 1}]
    assert await reader.documents("things", ("b",), ("a",)) == [{"id": "b", "n": 2}, {"id": "a", "n": 1}]
    assert await reader.documents("things", ("c",)) == []
    assert len(await reader.documents("things")) == 2
    await store.begin()
    await store.rows(2).add_positions([("t", 0)])
    await store.rows(2).write(batch(0, 2, row("a", 7)))
    assert await reader.documents("things", ("a",)) == [{"id": "a", "n": 1}]
    await store.swap(2, no_more)
    assert await reader.documents("things") == [{"id": "a", "n": 7}]


async def test_a_key_has_a_row_of_each_partition(stores: Stores, reader: Reader) -> None:
    rows = await begun(stores.of(replace(MODELS["documents"], documents=Documents(("id",), per_partition=True))), 0, 11)
    values = {("a", partition): row("a", partition) | {"_partition": partition} for partition in (0, 11)}
    await rows.write(Batch([Advance("t", 0, 0, 1, 1), Advance("t", 11, 0, 1, 1)], values))
    found = await reader.documents("things", ("a",))
    assert sorted(each["n"] for each in found) == [0, 11]


async def test_a_token_waits_for_documents(stores: Stores, reader: Reader) -> None:
    token = Token.of_records({("t", 0): 1})
    with pytest.raises(NotBuilt):
        await reader.wait_for(token, 30, "things")
    rows = await begun(stores.of(MODELS["documents"]))
    await rows.write(batch(0, 1))
    assert not await reader.wait_for(token, 0.05, "things")
    pending = asyncio.create_task(reader.wait_for(token, 5, "things"))
    await rows.write(batch(1, 2))
    assert await pending
    assert await reader.wait_for(Token.of_records({("elsewhere", 0): 9}), 30, "things")


async def test_a_writer_that_lost_its_redis_begins_again(stores: Stores) -> None:
    """Flushed, or failed over to a replica that was behind: positions are gone with the rows."""
    store = stores.of(MODELS["documents"])
    rows = await begun(store)
    await rows.write(batch(0, 2, row("a", 1)))
    await stores.redis.delete(*[name async for name in stores.redis.scan_iter(f"{stores.namespace}:*")])
    with pytest.raises(Fenced):
        await rows.write(batch(2, 3, row("a", 2)))
    again = await begun(store)
    assert await again.positions() == {("t", 0): 0}


async def test_a_redis_that_evicts_read_models_is_refused(servers: Servers, stores: Stores) -> None:
    class Evicting:
        async def info(self, _section: str) -> dict[str, Any]:
            return {"maxmemory": 1, "maxmemory_policy": "allkeys-lru"}

    evicting: Any = Evicting()
    with pytest.raises(Unsuitable, match="allkeys-lru, expected volatile-lru"):
        await replace(stores, redis=evicting).of(MODELS["documents"]).ensure_live()
    async with open_redis(servers.redis_url) as redis:
        assert (await redis.info("memory"))["maxmemory_policy"] == "volatile-lru"


async def test_a_token_of_an_entity_waits_for_its_document(stores: Stores, reader: Reader) -> None:
    token = Token.of_entity("things", "a", 3)
    with pytest.raises(ValueError, match="things"):
        await reader.wait_for(token, 30, "things")
    rows = await begun(stores.of(MODELS["documents"]))
    assert not await reader.wait_for(token, 0.05, "things")
    await rows.write(batch(0, 1, row("a", 1) | {"version": 2}))
    assert not await reader.wait_for(token, 0.05, "things")
    pending = asyncio.create_task(reader.wait_for(token, 5, "things"))
    await rows.write(batch(1, 2, row("a", 1) | {"version": 3}))
    assert await pending
    await rows.write(batch(2, 3, row("b", 1)))
    with pytest.raises(ValueError, match="no version"):
        await reader.wait_for(Token.of_entity("things", "b", 1), 30, "things")
