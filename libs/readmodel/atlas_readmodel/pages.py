"""Pages of a list: filters, and cursors that say where the page before ended."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from atlas_readmodel.columns.column_types import column_type
from atlas_readmodel.columns.json_rows import dumps, plain


class InvalidCursor(ValueError):
    """The cursor is not one that a page of this query gave."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and what to ask for the next ones with; None on the last page."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class Sort(NamedTuple):
    """A column that orders a list, with its SQL type."""

    column: str
    kind: str = "text"
    descending: bool = False


class Filter(NamedTuple):
    """A condition with its values: `{n}` in it is the number of the first, `{n1}` of the second, and so on."""

    sql: str
    values: Any
    several: bool = False


def contains(columns: Sequence[str], text: str) -> Filter:
    """That one of the columns has this text in it, whatever the case. `%` and `_` are only letters here."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return Filter(f"({' OR '.join(f'{column} ILIKE ${{n}}' for column in columns)})", f"%{escaped}%")


def where(filters: Sequence[Filter]) -> tuple[str, list[Any]]:
    """A WHERE clause, empty without filters, and its values."""
    conditions: list[str] = []
    values: list[Any] = []
    for sql, given, several in filters:
        own = list(given) if several else [given]
        numbers = {f"n{place}" if place else "n": len(values) + place + 1 for place in range(len(own))}
        conditions.append(sql.format(**numbers))
        values += own
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), values


def ordered(order: Sequence[Sort]) -> str:
    """What follows ORDER BY."""
    return ", ".join(f"{sort.column} DESC" if sort.descending else sort.column for sort in order)


def after(order: Sequence[Sort], cursor: str) -> Filter:
    """That a row comes after the page that gave this cursor. Raises InvalidCursor for what no page of it gave."""
    values = decode_cursor(cursor, [sort.kind for sort in order])
    names = [f"${{n{place}}}" if place else "${n}" for place in range(len(order))]
    if len({sort.descending for sort in order}) == 1:
        # One comparison of rows, which an index on these columns answers from the place where the page begins.
        listed = ", ".join(sort.column for sort in order)
        return Filter(f"({listed}) {_beyond(order[0])} ({', '.join(names)})", values, several=True)
    branches = []
    for place, sort in enumerate(order):
        same = [f"{before.column} = {names[at]}" for at, before in enumerate(order[:place])]
        branches.append(" AND ".join([*same, f"{sort.column} {_beyond(sort)} {names[place]}"]))
    return Filter(f"({' OR '.join(f'({branch})' for branch in branches)})", values, several=True)


def _beyond(sort: Sort) -> str:
    return "<" if sort.descending else ">"


def paged(rows: list[dict[str, Any]], limit: int, order: Sequence[Sort]) -> Page:
    """The page of `limit` rows; `rows` has one more where there is a next page."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], encode_cursor([rows[limit - 1][sort.column] for sort in order]))


def encode_cursor(values: list[Any]) -> str:
    """Where a page ends: the values of the columns that order the list."""
    return base64.urlsafe_b64encode(dumps([plain(value) for value in values])).rstrip(b"=").decode()


def decode_cursor(cursor: str, types: Sequence[str]) -> list[Any]:
    """One value of each of these SQL types, as a row holds it: of the columns that order the list.

    Raises InvalidCursor for what no page of it gave.
    """
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(found, list) or len(found) != len(types):
            raise ValueError(f"not {len(types)} values")
        values = [column_type(sql).parse(value) for value, sql in zip(found, types, strict=True)]
        # Each value has one form: anything else, a true for a one, was made up.
        if dumps([plain(value) for value in values]) != dumps(found):
            raise ValueError("not as it was given")
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidCursor("not a cursor of this query") from error
    return values
