"""Pages of a list: filters, and cursors that say where the page before ended."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from atlas_readmodel.column_types import column_type
from atlas_readmodel.json_rows import dumps, plain


class InvalidCursor(ValueError):
    """The cursor is not one that a page of this query gave."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and what to ask for the next ones with; None on the last page."""

    items: list[dict[str, Any]]
    next_cursor: str | None


def where(filters: Sequence[tuple[str, Any]]) -> tuple[str, list[Any]]:
    """A WHERE clause, empty without filters, and its values; `{n}` in a filter is its value's number."""
    conditions = [sql.format(n=number) for number, (sql, _value) in enumerate(filters, start=1)]
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), [value for _sql, value in filters]


def paged(rows: list[dict[str, Any]], limit: int, order: Sequence[str]) -> Page:
    """The page of `limit` rows; `rows` has one more where there is a next page."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], encode_cursor([rows[limit - 1][column] for column in order]))


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
