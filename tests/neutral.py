"""The projections of the contexts that tests of the engines run on, and reads of their rows."""

from collections.abc import Sequence
from typing import Any

from atlas_gateway.app import own_routes
from atlas_hauls.projections import PROJECTIONS as HAULS
from atlas_http.routes import Route
from atlas_projection.projection import Projection
from atlas_projection.reads import columns_of, order_of
from atlas_readmodel.pages import Filter, Page, contains
from atlas_readmodel.reader import Reader
from atlas_readmodel.table import Table
from atlas_yards.projection import PROJECTIONS as YARDS

from tests.contexts import NAMES

PROJECTIONS: tuple[Projection, ...] = (*YARDS, *HAULS)
ROUTES: tuple[Route, ...] = tuple(own_routes(NAMES, PROJECTIONS))
_BY_NAME = {projection.name: projection for projection in PROJECTIONS}


def columns(name: str) -> Sequence[str]:
    """The columns that an answer has."""
    _, reads, table = _read(name)
    return list(columns_of(reads, table))


async def row(reader: Reader, name: str, *key: str, cached: bool = True) -> dict[str, Any] | None:
    """The row of this key, as the gateway reads it."""
    projection, _, _ = _read(name)
    if projection.cached:
        return await reader.cached_row(name, projection.key[0], key[0], columns(name), cached=cached)
    return await reader.row(name, dict(zip(projection.key, key, strict=True)), columns(name))


async def page(
    reader: Reader, name: str, limit: int = 50, cursor: str | None = None, search: str | None = None, **by: str
) -> Page:
    """A page of the list, as the gateway reads it; `by` is a column and what it has to equal."""
    _, reads, table = _read(name)
    filters = [Filter(f"{column} = ${{n}}", value) for column, value in by.items()]
    if search is not None:
        filters.append(contains(reads.search, search))
    return await reader.page(name, columns(name), order_of(reads, table), filters, limit, cursor)


def _read(name: str) -> tuple[Projection, Any, Table]:
    projection = _BY_NAME[name]
    assert projection.reads is not None
    assert isinstance(projection.table, Table)
    return projection, projection.reads, projection.table
