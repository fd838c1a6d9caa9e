"""Pages of a list that is in memory: `limit` and `cursor`, as every list of the mesh takes them.

A cursor is the place of the last item before it, not a number of items: a list that has changed meanwhile goes on from
there.
"""

import base64
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

T = TypeVar("T")

LIMIT = 50
LIMIT_MAX = 500
_CURSOR_MAX = 1000


class NoPage(ValueError):
    """A parameter of the page is wrong; which one, what was found and what was expected."""

    def __init__(self, name: str, found: str, expected: str) -> None:
        super().__init__(f"{name}: found {found[:100]}, expected {expected}")
        self.name = name
        self.found = found
        self.expected = expected


def page(
    query: Mapping[str, str], items: Sequence[T], place: Callable[[T], Sequence[Any]], limit: int = LIMIT
) -> tuple[list[T], str | None]:
    """The items of the page that is asked for, and the cursor of the next one; None on the last page.

    `items` are in the order of their places: sequences of text and numbers, of the same types for each. `limit` is that
    of who says none. Raises NoPage.
    """
    limit = _limit(query["limit"]) if "limit" in query else limit
    cursor = query.get("cursor")
    first = 0
    if cursor is not None:
        try:
            first = bisect_right(items, _decoded(cursor), key=lambda item: list(place(item)))
        except TypeError:  # a cursor of another list
            raise _no_cursor(cursor) from None
    taken = list(items[first : first + limit])
    return taken, _encoded(place(taken[-1])) if len(items) > first + limit else None


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    raise NoPage("limit", text, f"a whole number from 1 to {LIMIT_MAX}")


def _encoded(place: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(place))).rstrip(b"=").decode()


def _decoded(cursor: str) -> list[Any]:
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor[:_CURSOR_MAX] + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise _no_cursor(cursor) from None
    if not isinstance(place, list):
        raise _no_cursor(cursor)
    return place


def _no_cursor(cursor: str) -> NoPage:
    return NoPage("cursor", cursor, "next_cursor of the page before")
