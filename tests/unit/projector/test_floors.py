"""Floors: which rows of the cache count no more, by the same text that readers ask for."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_projection.projection import Projection
from atlas_projector.floors import Floors
from atlas_readmodel.table import Table


class Laid:
    """A cache that remembers what was laid."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}

    async def lay_floors(self, _projection: str, offsets: dict[str, int]) -> bool:
        self.offsets |= offsets
        return True

    async def raise_epoch(self, _projection: str, _epoch: int) -> bool:
        return True


@pytest.mark.parametrize(
    ("declared", "key", "text"),
    [
        ("text", "a", "a"),
        ("bigint", 7, "7"),
        ("uuid", "0190f3c4-0000-7000-8000-000000000abc", "0190f3c4-0000-7000-8000-000000000abc"),
        ("date", date(2024, 2, 29), "2024-02-29"),
        ("bytea", b"\xff", "ÿ"),
    ],
)
async def test_a_key_of_any_type_is_laid_by_its_text(declared: str, key: Any, text: str) -> None:
    table = Table({"k": f"{declared} NOT NULL"}, ("k",))
    projection = Projection(name="keyed", version=1, topics=("t",), table=table, handlers={}, cached=True)

    async def raise_epoch() -> int:
        return 1

    cache: Any = Laid()
    store: Any = SimpleNamespace(raise_epoch=raise_epoch)
    await Floors(projection, cache, store).lay({(key,): {"k": key, "_offset": 3}}, 9)
    await Floors(projection, cache, store).lay({("gone",): None}, 9)
    assert cache.offsets == {text: 3, "gone": 9}
