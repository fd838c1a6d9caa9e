"""How a read model is read over HTTP, as data: the gateway serves what a projection declares here.

    Reads(path="/orders", what="order", order=("placed_at DESC", "order_id DESC"),
          filters={"status": By(values=("open", "shipped"))}, search=("customer", "note"))

is `GET /orders/{order_id}` and `GET /orders?search=&status=&limit=&cursor=`, both with Atlas-Token.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from atlas_readmodel.columns.column_types import ColumnType, column_type
from atlas_readmodel.documents import Documents
from atlas_readmodel.pages import Sort
from atlas_readmodel.table import Table

PAGE_LIMIT = 500
_PATH = re.compile(r"(/[a-z0-9][a-z0-9-]*)+")
_RESERVED = {"limit", "cursor", "token", "search", "sort"}
_COLUMNS = re.compile(r"\((?P<columns>[a-z0-9_, ]+)\)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class By:
    """A parameter of a list: rows whose column equals it.

    `column`: when it has another name than the parameter. Text may be bound to a `pattern` or to `values`.
    `common`: so many rows have each value that the index of the list's order finds them soon enough.
    """

    column: str = ""
    pattern: str = ""
    values: tuple[str, ...] = ()
    description: str = ""
    common: bool = False


@dataclass(frozen=True, kw_only=True)
class Reads:
    """One row by its key at `path`/{key}, and a list at `path` unless `listed` is false.

    `what`: what one row is called, in the singular. `order`: of the list, `column` or `column DESC`, down to columns
    that tell any two rows apart; `sorts` are further ones by the name that the parameter `sort` gives. `search`: text
    columns in which the parameter `search` is looked for. `times`: bigint columns that hold epoch milliseconds and are
    shown as RFC 3339. `also`: columns that the view has beside those of the table, with their types. `small`: at most
    some thousand rows, so that no index is asked for.
    """

    path: str
    what: str
    order: tuple[str, ...]
    sorts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filters: Mapping[str, By] = field(default_factory=dict)
    search: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    page: int = 50
    listed: bool = True
    small: bool = False

    @property
    def tag(self) -> str:
        """What it stands under in the documentation: the first part of the path."""
        return self.path.split("/")[1]


def columns_of(reads: Reads, table: Table) -> dict[str, ColumnType]:
    """The columns of an answer, in order, with their types."""
    return {name: column_type(declared) for name, declared in {**table.columns, **reads.also}.items()}


def order_of(reads: Reads, table: Table, name: str | None = None) -> list[Sort]:
    """The list's order, or the one of this name."""
    columns = columns_of(reads, table)
    wanted = reads.order if name is None else reads.sorts[name]
    found = []
    for each in wanted:
        column, _, direction = each.partition(" ")
        found.append(Sort(column, columns[column].sql, descending=direction.upper() == "DESC"))
    return found


def faults(reads: Reads, table: Table | Documents) -> Iterator[str]:
    """Why a read model can't be read as it is declared; nothing when it can."""
    if not _PATH.fullmatch(reads.path):
        yield f"it is read at {reads.path!r}; expected a path like /bookings, in lower case and without parameters"
    if isinstance(table, Documents):
        if reads.listed:
            yield "documents have no list: set `listed` to False, or keep the read model in a table"
        if table.per_partition:
            yield "each partition has a document of its own: put them together in a query of the context's"
        return
    unknown = [column for column in _named(reads) if column not in {**table.columns, **reads.also}]
    if unknown:
        yield f"it is read by {', '.join(unknown)}, which the table does not have"
        return
    columns = columns_of(reads, table)
    for parameter in sorted(_RESERVED & set(reads.filters)):
        yield f"a filter can't be called {parameter}: every list has a parameter of that name"
    for name, order in {"order": reads.order, **reads.sorts}.items():
        yield from _order_faults(name, order, table, columns)
    for column in reads.search:
        if columns[column].bare not in ("text", "varchar", "character varying"):
            yield f"it is searched in {column}, which is {columns[column].sql} and no text"
    for column in reads.times:
        if columns[column].bare not in ("bigint", "int8"):
            yield f"the time {column} is {columns[column].sql}; epoch milliseconds are a bigint"
    if reads.listed and not reads.small:
        yield from _missing_indexes(reads, table)


def _named(reads: Reads) -> Iterator[str]:
    """Every column that is named anywhere."""
    for order in (reads.order, *reads.sorts.values()):
        yield from (each.partition(" ")[0] for each in order)
    yield from (by.column or parameter for parameter, by in reads.filters.items())
    yield from (*reads.search, *reads.times)


def _order_faults(name: str, order: tuple[str, ...], table: Table, columns: Mapping[str, ColumnType]) -> Iterator[str]:
    sorted_by = [each.partition(" ")[0] for each in order]
    for column in sorted_by:
        if not columns[column].required and column in table.columns:
            yield f"its {name} has {column}, which may be null: a page can't begin behind nothing; make it NOT NULL"
    if not set(table.key) <= set(sorted_by):
        missing = ", ".join(key for key in table.key if key not in sorted_by)
        yield f"its {name} does not tell any two rows apart: add {missing} at its end"


def _missing_indexes(reads: Reads, table: Table) -> Iterator[str]:
    """One line for each filter, search and order that PostgreSQL could only answer by reading every row."""
    indexes = [_indexed(index) for index in table.indexes] + [(False, [(key, False) for key in table.primary_key])]
    trees = [columns for gin, columns in indexes if not gin and columns]
    first = {columns[0][0] for columns in trees}
    for name, order in {"order": reads.order, **reads.sorts}.items():
        wanted = [_directed(each) for each in order]
        backwards = [(column, not falling) for column, falling in wanted]
        if not any(columns[: len(wanted)] in (wanted, backwards) for columns in trees):
            yield f'its {name} has no index: add "({", ".join(order)})" to its indexes'
    for parameter, by in reads.filters.items():
        column = by.column or parameter
        if not by.common and column not in first:
            yield f'the filter {parameter} has no index: add "({column})" to its indexes'
    searched = {column for gin, columns in indexes if gin for column, _ in columns}
    for column in reads.search:
        if column not in searched:
            yield f'the search in {column} has no index: add "USING gin ({column} gin_trgm_ops)" to its indexes'


def _directed(text: str) -> tuple[str, bool]:
    """A column, and whether it falls."""
    column, *how = text.split()
    return column, "DESC" in [word.upper() for word in how]


def _indexed(index: str) -> tuple[bool, list[tuple[str, bool]]]:
    """Whether an index is of trigrams, and the columns that it begins with."""
    match = _COLUMNS.search(index)
    columns = [] if match is None else [_directed(part) for part in match["columns"].split(",") if part.strip()]
    return "gin_trgm_ops" in index, columns
