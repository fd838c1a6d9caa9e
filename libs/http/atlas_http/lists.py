"""What queries do around their own SELECT: parameters, ids in paths, entity tags, pages."""

import hashlib
import re
from collections.abc import Awaitable, Mapping
from typing import Annotated, Any, TypeVar

from aiohttp import hdrs, web
from atlas_readmodel.columns.json_rows import dumps
from atlas_readmodel.pages import InvalidCursor, Page
from atlas_runtime.serving.http_server import is_unicode
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atlas_http.problems import NOT_FOUND, Problem, field_error, invalid, of_validation
from atlas_http.routes import JSON, Part, path_parameter, query
from atlas_http.rows import with_moments

Q = TypeVar("Q", bound=BaseModel)

LIMIT_MAX = 500
_ID = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


class PageQuery(BaseModel):
    """What every list takes. `token` is read by the wait for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="How many at most: a whole number from 1 to 500")] = 50
    cursor: Annotated[str, Field(max_length=500, description="next_cursor of the page before")] | None = None
    token: str | None = None


def asked(request: web.Request, model: type[Q]) -> Q:
    """The query parameters, each at most once; a 422 problem with everything that is wrong."""
    repeated = sorted({name for name in request.query if len(request.query.getall(name)) > 1})
    if repeated:
        raise invalid(field_error(f"/{name}", "several values", "one value") for name in repeated)
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise invalid(of_validation(error, model), "The query parameters are not valid.") from None


def path_id(request: web.Request, name: str, what: str) -> str:
    """A part of the path that names a row; a 404 problem for text that no row can have."""
    value = request.match_info[name]
    if _ID.fullmatch(value) is None or not is_unicode(value):
        raise Problem(NOT_FOUND, f"There is no such {what}: that can't be an id.")
    return value


def entity(request: web.Request, body: Mapping[str, Any], etag: str | None = None) -> web.Response:
    """One thing, in JSON's own types; 304 where the caller has it. Without `etag` the tag is a digest."""
    text = dumps(body)
    tag = etag or f'"{hashlib.blake2b(text, digest_size=12).hexdigest()}"'
    headers = {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: "no-cache"}
    known = {part.strip().removeprefix("W/") for part in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")}
    if known & {tag, "*"}:
        return web.Response(status=304, headers=headers)
    return web.Response(body=text, content_type=JSON, headers=headers)


async def page(pending: Awaitable[Page], times: tuple[str, ...] = ()) -> web.Response:
    """A page of a list; `times` as in `rows.with_moments`. A 422 problem for a cursor that is none of this list."""
    try:
        found = await pending
    except InvalidCursor:
        raise invalid([field_error("/cursor", "no cursor of this list", "next_cursor of the page before")]) from None
    items = [with_moments(row, times) for row in found.items]
    body = dumps({"items": items, "next_cursor": found.next_cursor})
    return web.Response(body=body, content_type=JSON, headers={hdrs.CACHE_CONTROL: "no-cache"})


def page_schema(row: Part) -> Part:
    """The schema of a page of rows of this schema."""
    return {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": row},
            "next_cursor": {"type": ["string", "null"], "description": "null on the last page"},
        },
    }


def parameters(model: type[BaseModel]) -> tuple[Part, ...]:
    """The documentation of a model of query parameters."""
    described = model.model_json_schema()["properties"]
    return tuple(
        query(name, _described(schema), _plain(schema)) for name, schema in described.items() if name != "token"
    )


def path_parameters(*names: str) -> tuple[Part, ...]:
    """The documentation of parts of a path that are text."""
    return tuple(path_parameter(name, {"type": "string"}) for name in names)


def _plain(schema: Part) -> Part:
    """A parameter is there or not: its null branch is of no use to a caller."""
    branches = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    shape = branches[0] if branches else schema
    return {name: value for name, value in shape.items() if name not in ("title", "description")}


def _described(schema: Part) -> str:
    texts = [part["description"] for part in (schema, *schema.get("anyOf", [])) if "description" in part]
    return texts[0] if texts else ""
