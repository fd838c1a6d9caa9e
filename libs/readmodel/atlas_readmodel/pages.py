"""Pages of a list: filters, and cursors that say where the page before ended."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson


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
    return base64.urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


def decode_cursor(cursor: str, texts: int = 1) -> list[Any]:
    """The whole number, within 64 bits, and as many texts that PostgreSQL can hold. Raises InvalidCursor."""
    try:
        value = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor("not a cursor of this query") from error
    match value:
        case [int(sort), *keys] if type(sort) is int and abs(sort) < 2**63 and len(keys) == texts:
            if all(isinstance(key, str) and "\x00" not in key for key in keys):
                return [sort, *keys]
    raise InvalidCursor("not a cursor of this query")
