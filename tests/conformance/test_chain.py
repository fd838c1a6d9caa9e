"""Types of every kind go the whole way: JSON, topic, row, archive and Parquet hold the same at each step."""

import uuid
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pyarrow.parquet
import pytest
from atlas_contracts.codec import PREFIX_BYTES, Codec
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.registry import Registry
from atlas_local.testing import Servers
from atlas_local.waiting import wait_until
from atlas_readmodel.columns.json_rows import plain as plain_json

from tests.conformance.chain import READY_S, Chain, projection_of
from tests.conformance.chain_types import events, values, write_folder
from tests.conformance.parquet import by_fastavro, check, plain
from tests.conformance.values import comparable

pytestmark = pytest.mark.integration

SEED = 11
VALUES = 6


async def test_the_whole_way(servers: Servers, database: str, bucket: str, tmp_path: Path) -> None:
    chain = Chain(servers, database, bucket, f"test.{uuid.uuid4().hex[:8]}.", tmp_path)
    names = write_folder(tmp_path, chain.prefix, events(SEED))
    assert len(names) > 6
    registry = Registry.load(tmp_path)
    codec = Codec(registry)
    posted = {value["k"]: (name, value) for name in names for value in values(codec, registry, name, VALUES, SEED)}
    async with chain.running(projection_of(chain.topic, names)) as gateway:
        body = [{"type": name, "value": value} for name, value in posted.values()]
        async with gateway.post(f"/topics/{chain.topic}", data=orjson.dumps(body), headers=JSON) as response:
            answer = await response.json()
        assert (response.status, answer["failed"]) == (200, 0), answer
        rows = await rows_of(database, len(posted))
        archived = await chain.archived(len(posted))
    await chain.exported(tmp_path / "parquet")
    cells = cells_of(tmp_path / "parquet" / chain.topic, names)
    assert {record.key for record in archived} == {key.encode() for key in posted}
    for record in archived:
        assert record.key is not None
        assert record.value is not None
        name, value = posted[record.key.decode()]
        decoded = codec.decode(record.value)
        assert decoded.type == name
        shown = orjson.loads(orjson.dumps(codec.to_json(decoded)))
        assert comparable(shown) == comparable(value), name
        assert rows[value["k"]] == orjson.loads(orjson.dumps(plain_json(decoded.value))), name
        definition = registry.latest(name).parsed
        read = by_fastavro(definition, record.value[PREFIX_BYTES:])
        check(definition["fields"][1]["type"], read["f"], cells[value["k"]], named_types(definition), (name,))


JSON = {"Content-Type": "application/json"}


def cells_of(folder: Path, names: list[str]) -> dict[str, Any]:
    """The field `f` of every exported record, by key."""
    cells: dict[str, Any] = {}
    for name in names:
        for path in (folder / f"type={name}").rglob("*.parquet"):
            table = pyarrow.parquet.read_table(path, partitioning=None)
            cells |= {key.as_py(): plain(f) for key, f in zip(table["k"], table["f"], strict=True)}
    return cells


async def rows_of(dsn: str, count: int) -> dict[str, Any]:
    """The events that the projection kept, by key, once there are so many."""
    connection = await asyncpg.connect(dsn)

    async def kept() -> bool:
        if await connection.fetchval("SELECT to_regclass('readmodel.whole')") is None:
            return False  # the projector makes it
        return bool(await connection.fetchval("SELECT count(*) FROM readmodel.whole") == count)

    try:
        await wait_until(f"{count} rows", kept, READY_S)
        return {row["k"]: orjson.loads(row["event"]) for row in await connection.fetch("SELECT * FROM readmodel.whole")}
    finally:
        await connection.close()
