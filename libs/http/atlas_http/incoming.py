"""Reading request bodies: bounded, of a known type, JSON that says where it breaks."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import orjson
from aiohttp import hdrs, web
from atlas_runtime.serving.inflating import CODINGS, STEP_BYTES, Inflater, NotCompressed, coding_of
from pydantic import BaseModel, ValidationError

from atlas_http.exact_bodies import as_model
from atlas_http.json_parts import has_more_members
from atlas_http.problems import (
    BROKEN_BODY,
    BROKEN_JSON,
    TEXT_MAX,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    invalid,
    of_validation,
)
from atlas_http.resources import RESOURCES

M = TypeVar("M", bound=BaseModel)

COMMAND_MAX_BYTES = 64 * 1024
# Each that is wrong is described: this many take some milliseconds.
COMMAND_MEMBERS_MAX = 2000
JSON_TYPES = ("application/json", "application/merge-patch+json")


async def chunks(request: web.Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives, inflated, in pieces between which the event loop is free.

    Raises a 413 problem as soon as it is known to be above `limit` bytes, as sent or inflated; 415 for a coding that is
    not taken, 400 for a body that is not of its coding.
    """
    inflater = _inflater(request)
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    sent = size = 0
    try:
        async for chunk in request.content.iter_any():
            sent += len(chunk)
            if sent > limit:
                raise too_large(limit)
            for piece in _slices(chunk) if inflater is None else inflater.feed(chunk):
                size += len(piece)
                if size > limit:
                    raise too_large(limit)
                yield piece
                await asyncio.sleep(0)
        if inflater is not None and sent:
            inflater.finish()
    except NotCompressed as error:
        raise Problem(BROKEN_BODY, f"{str(error).capitalize()}.") from None


def _slices(chunk: bytes) -> Iterator[bytes]:
    """What came at once may be as much as was buffered; work on it is bounded by the piece."""
    if len(chunk) <= STEP_BYTES:
        return iter((chunk,))
    return (chunk[at : at + STEP_BYTES] for at in range(0, len(chunk), STEP_BYTES))


def _inflater(request: web.Request) -> Inflater | None:
    try:
        coding = coding_of(request.headers.getall(hdrs.CONTENT_ENCODING, []))
    except ValueError as found:
        accepted = ", ".join(CODINGS)
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            f"The Content-Encoding is {found}; accepted here: {accepted}, or none.",
            headers={hdrs.ACCEPT_ENCODING: accepted},
            accepted=list(CODINGS),
        ) from None
    return Inflater(coding) if coding is not None else None


async def read(request: web.Request, limit: int) -> bytes:
    """The whole body; a 413 problem when it is above `limit` bytes, without reading the rest."""
    return b"".join([chunk async for chunk in chunks(request, limit)])


async def read_command(request: web.Request, model: type[M]) -> M:
    """The body as `model`; an empty body is an empty object. Problems: 400, 413, 415, 422 with every error."""
    content_type = require_type(request, JSON_TYPES) if request.can_read_body else JSON_TYPES[0]
    body = await read(request, COMMAND_MAX_BYTES)
    if await has_more_members(body, COMMAND_MEMBERS_MAX):
        raise Problem(TOO_LARGE, f"The body has more than {COMMAND_MEMBERS_MAX} members and containers.")
    body = body or b"{}"
    parse(body)  # which says where it breaks, if it does
    try:
        return as_model(body, model)
    except ValidationError as error:
        raise invalid(of_validation(error, model), f"The {content_type} body is not valid.") from None
    except ValueError as error:
        raise Problem(BROKEN_JSON, f"The body can't be read exactly: {error}.") from None


def parse(text: bytes) -> Any:
    """The JSON value; a 400 problem with line and column when it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise broken(error.msg, error.lineno, error.colno) from None


def require_type(request: web.Request, accepted: tuple[str, ...]) -> str:
    """The body's media type, which has to be among `accepted`; else a 415 problem that lists them."""
    if request.content_type in accepted and hdrs.CONTENT_TYPE in request.headers:
        return request.content_type
    found = request.headers.get(hdrs.CONTENT_TYPE, "none")[:TEXT_MAX]
    raise Problem(
        UNSUPPORTED_MEDIA_TYPE,
        f"The Content-Type is {found}; accepted here: {', '.join(accepted)}.",
        headers={"Accept-Post": ", ".join(accepted)},
        accepted=list(accepted),
    )


def broken(reason: str, line: int, column: int) -> Problem:
    """The body stops being JSON at `line` and `column`, both from 1."""
    return Problem(BROKEN_JSON, f"{reason}: line {line} column {column}.", line=line, column=column)


def too_large(limit: int) -> Problem:
    """The body is above the limit."""
    mebibytes = math.floor(limit / 1024 / 1024 * 10) / 10
    return Problem(TOO_LARGE, f"The body is above the limit of {limit} bytes ({mebibytes:g} MiB).", limit_bytes=limit)


async def expect_continue(request: web.Request) -> web.StreamResponse | None:
    """Answer `Expect: 100-continue`: a body that is announced as too large is refused before it is sent."""
    limit = request.app[RESOURCES].settings.gateway_body_max_bytes
    if (request.content_length or 0) > limit:
        response = too_large(limit).response(instance=request.path)
        response.force_close()
        return response
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # what was written so far is not part of the answer
    return None
