"""The routes of read models that declare how they are read: one row, and a list, for nothing but the declaration."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from aiohttp import web
from atlas_http import lists
from atlas_http.consistency import PARAMETERS as TOKEN_PARAMETERS
from atlas_http.consistency import wait
from atlas_http.lists import PageQuery
from atlas_http.problems import NOT_FOUND, Problem, field_error, invalid
from atlas_http.resources import RESOURCES
from atlas_http.routes import NamedSchema, Part, Route, answer
from atlas_http.rows import with_moments
from atlas_projection.projection import Projection
from atlas_projection.reads import By, Reads, columns_of, faults, order_of
from atlas_readmodel.columns.column_schemas import json_schema, of_text
from atlas_readmodel.columns.column_types import ColumnType
from atlas_readmodel.documents import Documents
from atlas_readmodel.pages import Filter, contains
from atlas_readmodel.table import Table
from pydantic import Field, create_model

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SEARCH_MAX = 100


class CantBeRead(Exception):
    """A projection declares a way to read it that can't be served; the message has a line for each reason."""


def versioned(projections: Iterable[Projection]) -> dict[str, str]:
    """Of tables whose rows carry their entity's version, the key column with its type: a token can wait for those."""
    return {
        each.name: f"{each.key[0]} {each.table.types[each.key[0]]}"
        for each in projections
        if each.versioned is not None and isinstance(each.table, Table) and len(each.key) == 1
    }


def routes(projections: Iterable[Projection]) -> list[Route]:
    """Every route that the projections declare. Raises CantBeRead, which names all that is wrong."""
    declared = [(projection, projection.reads) for projection in projections if projection.reads is not None]
    wrong = [f"{each.name}: {reason}" for each, reads in declared for reason in faults(reads, each.table)]
    if wrong:
        raise CantBeRead("; ".join(wrong))
    found: list[Route] = []
    for projection, reads in declared:
        if isinstance(projection.table, Documents):
            found.append(_document_route(projection, reads))
        else:
            found.append(_row_route(projection, reads, projection.table))
            if reads.listed:
                found.append(_list_route(projection, reads, projection.table))
    return found


def _row_route(projection: Projection, reads: Reads, table: Table) -> Route:
    columns, key = columns_of(reads, table), projection.key
    selected = list(columns)

    async def get(request: web.Request) -> web.Response:
        wanted = _key(request, columns, key, reads)
        fresh = await wait(request, projection.name)
        reader = request.app[RESOURCES].reader
        if projection.cached and isinstance(wanted[key[0]], str):
            row = await reader.cached_row(projection.name, key[0], wanted[key[0]], selected, cached=not fresh)
        else:
            row = await reader.row(projection.name, wanted, selected)
        if row is None:
            raise _none(reads, wanted)
        etag = None if projection.versioned is None else f'"{row[projection.versioned]}"'
        return lists.entity(request, with_moments(row, reads.times), etag)

    return _get(reads, key, get, _schema(projection, reads, table))


def _document_route(projection: Projection, reads: Reads) -> Route:
    key = projection.key

    async def get(request: web.Request) -> web.Response:
        wanted = {name: lists.path_id(request, name, reads.what) for name in key}
        await wait(request, projection.name)
        rows = await request.app[RESOURCES].reader.documents(projection.name, tuple(wanted.values()))
        if not rows:
            raise _none(reads, wanted)
        return lists.entity(request, with_moments(rows[0], reads.times))

    return _get(reads, key, get, {"type": "object"})


def _list_route(projection: Projection, reads: Reads, table: Table) -> Route:
    columns = columns_of(reads, table)
    selected = list(columns)
    model = _query_model(projection, reads, columns)
    orders = {name: order_of(reads, table, name) for name in (None, *reads.sorts)}

    async def get(request: web.Request) -> web.Response:
        asked = lists.asked(request, model).model_dump()
        filters = [
            _filter(parameter, by, columns[by.column or parameter], asked[parameter])
            for parameter, by in reads.filters.items()
            if asked[parameter] is not None
        ]
        if asked.get("search") is not None:
            filters.append(contains(reads.search, asked["search"]))
        await wait(request, projection.name)
        pending = request.app[RESOURCES].reader.page(
            projection.name, selected, orders[asked.get("sort")], filters, asked["limit"], asked["cursor"]
        )
        return await lists.page(pending, reads.times)

    sorted_by = ", ".join(reads.order)
    _name(get, f"list_{projection.name}", f"Page by page, ordered by {sorted_by}.")
    schema = lists.page_schema(_schema(projection, reads, table))
    return Route(
        "GET",
        reads.path,
        get,
        reads.tag,
        f"List {projection.name}",
        (*lists.parameters(model), *TOKEN_PARAMETERS),
        responses=answer(200, "A page", NamedSchema(f"{projection.name}.Page", schema)),
        problems=(422, 503),
    )


def _get(reads: Reads, key: tuple[str, ...], handler: Handler, schema: Part) -> Route:
    _name(handler, f"get_{_identifier(reads.what)}", f"One {reads.what}, by {' and '.join(key)}.")
    return Route(
        "GET",
        f"{reads.path}/{'/'.join(f'{{{name}}}' for name in key)}",
        handler,
        reads.tag,
        f"Get a {reads.what}",
        (*lists.path_parameters(*key), *TOKEN_PARAMETERS),
        responses=answer(200, f"The {reads.what}", schema, headers={"ETag": "Of the answer; for If-None-Match"}),
        problems=(404, 422, 503),
    )


def _name(handler: Any, name: str, text: str) -> None:
    """What the document calls the handler, and says of it."""
    handler.__name__ = name
    handler.__doc__ = text


def _identifier(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower())


def _none(reads: Reads, wanted: Mapping[str, Any]) -> Problem:
    return Problem(NOT_FOUND, f"There is no {reads.what} {' '.join(map(str, wanted.values()))}.")


def _key(request: web.Request, columns: Mapping[str, ColumnType], key: tuple[str, ...], reads: Reads) -> dict[str, Any]:
    """The key that the path names; a 404 problem for what no row can have."""
    wanted = {}
    for name in key:
        try:
            wanted[name] = of_text(columns[name], lists.path_id(request, name, reads.what))
        except ValueError:
            raise Problem(NOT_FOUND, f"There is no such {reads.what}: that can't be its {name}.") from None
    return wanted


def _filter(parameter: str, by: By, column: ColumnType, text: str) -> Filter:
    try:
        return Filter(f"{by.column or parameter} = ${{n}}", of_text(column, text))
    except ValueError as error:
        raise invalid([field_error(f"/{parameter}", text, f"{column.sql}: {error}")]) from None


def _query_model(projection: Projection, reads: Reads, columns: Mapping[str, ColumnType]) -> type[PageQuery]:
    """The parameters of the list, as pydantic checks and documents them."""
    fields: dict[str, Any] = {}
    for parameter, by in reads.filters.items():
        fields[parameter] = (_parameter(by, columns[by.column or parameter]) | None, None)
    if reads.search:
        where = " or ".join(reads.search)
        text = Annotated[
            str,
            Field(
                min_length=1,
                max_length=_SEARCH_MAX,
                pattern=r"^[^\x00-\x1f]+$",
                description=f"Part of {where}, 1 to {_SEARCH_MAX} characters",
            ),
        ]
        fields["search"] = (text | None, None)
    if reads.sorts:
        named = Annotated[Literal[tuple(reads.sorts)], Field(description=f"One of {', '.join(reads.sorts)}")]  # type: ignore[valid-type]
        fields["sort"] = (named | None, None)
    limit = Annotated[
        int, Field(ge=1, le=lists.LIMIT_MAX, description="How many at most: a whole number from 1 to 500")
    ]
    fields["limit"] = (limit, reads.page)
    made: type[PageQuery] = create_model(f"{projection.name.title()}Query", __base__=PageQuery, **fields)
    return made


def _parameter(by: By, column: ColumnType) -> Any:
    if by.values:
        described = by.description or f"One of {', '.join(by.values)}"
        return Annotated[Literal[by.values], Field(description=described)]
    limits: dict[str, Any] = {"max_length": 255, "pattern": by.pattern or r"^[^\x00-\x1f]*$"}
    return Annotated[str, Field(description=by.description or f"Exactly this {column.sql}", **limits)]


def _schema(projection: Projection, reads: Reads, table: Table) -> NamedSchema:
    columns = columns_of(reads, table)
    properties = {name: json_schema(column, moment=name in reads.times) for name, column in columns.items()}
    schema = {
        "type": "object",
        "description": f"A {reads.what}",
        "required": list(columns),
        "properties": properties,
    }
    return NamedSchema(f"{projection.name}.Row", schema)
