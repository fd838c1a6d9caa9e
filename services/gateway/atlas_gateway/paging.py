"""Pages of the lists that the gateway holds in memory: topics and subjects. Those of read models are `queries`'."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aiohttp import hdrs, web
from atlas_http.problems import field_error, invalid
from atlas_http.routes import Part, query
from atlas_runtime.serving.paging import LIMIT, LIMIT_MAX, NoPage, page

T = TypeVar("T")


def parameters(limit: int = LIMIT) -> tuple[Part, ...]:
    """What such a list takes."""
    whole = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": limit}
    return (
        query("limit", "How many at most", whole),
        query("cursor", "next_cursor of the page before", {"type": "string"}),
    )


def asked_page(
    request: web.Request, items: Sequence[T], place: Callable[[T], Sequence[Any]], limit: int = LIMIT
) -> tuple[list[T], str | None]:
    """The page that the request asks for, and the cursor of the next one; a 422 problem for a wrong parameter."""
    try:
        return page(request.query, items, place, limit)
    except NoPage as error:
        found = [field_error(f"/{error.name}", error.found, error.expected)]
        raise invalid(found, "The query parameters are not valid.") from None


def link_to_next(request: web.Request, next_cursor: str | None) -> dict[str, str]:
    """The header that leads to the next page, for an answer whose form has no place for a cursor."""
    if next_cursor is None:
        return {}
    return {hdrs.LINK: f'<{request.rel_url.update_query(cursor=next_cursor)}>; rel="next"'}
