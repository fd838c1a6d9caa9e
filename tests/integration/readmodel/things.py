"""A read model of things, and batches of them."""

from collections.abc import Mapping
from typing import Any

from atlas_readmodel.documents import DocumentModel, Documents
from atlas_readmodel.postgres.writer import Advance, Batch
from atlas_readmodel.store import Positions, Rows, Store
from atlas_readmodel.table import ReadModel, Table
from atlas_readmodel.waiting.parking import Parked, State

MODELS: Mapping[str, ReadModel | DocumentModel] = {
    "table": ReadModel("things", 1, ("t",), Table({"id": "text NOT NULL", "n": "integer NOT NULL"}, ("id",))),
    "documents": DocumentModel("things", 1, ("t",), Documents(("id",))),
}


def row(key: str, n: int, offset: int = 0) -> dict[str, Any]:
    return {"id": key, "n": n, "_offset": offset}


def batch(start: int, end: int, *rows: dict[str, Any], partition: int = 0, **more: Any) -> Batch:
    advance = Advance("t", partition, start, end, end - start)
    return Batch([advance], {(each["id"],): each for each in rows}, **more)


async def begun(store: Store, *partitions: int) -> Rows:
    """The live generation with positions at 0."""
    rows = store.rows((await store.ensure_live()).number)
    await rows.add_positions([("t", partition) for partition in partitions or (0,)])
    return rows


async def no_more(_target: Positions) -> None:
    """A generation that is level already."""


def waiting(offset: int, key: bytes | None = b"k", state: State = State.DEAD, error: str | None = "no") -> Parked:
    headers = (("ce_type", b"x"), ("none", None))
    return Parked("t", 0, offset, key, b"\x00\xff", headers, 1_700_000_000_123, state, error)
