"""A request body as groups of parsed records, small enough that the event loop is free between two of them."""

import asyncio
import json
import re
from array import array
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import orjson

from atlas_gateway.envelopes import Envelope, Refused, cloud_event, plain
from atlas_gateway.incoming import broken, parse
from atlas_gateway.problems import BROKEN_JSON

# A group takes 3 to 5 ms from text to bytes: the longest that another request waits for this one.
GROUP_RECORDS = 250
GROUP_BYTES = 128 * 1024
# Parsing this much in one go takes about 1 ms.
_SMALL_BYTES = 256 * 1024
_WHITE_SPACE = re.compile(r"[ \t\n\r]*")

Groups = Callable[[AsyncIterator[bytes]], AsyncIterator[list[Any]]]


async def lines(body: AsyncIterator[bytes]) -> AsyncIterator[list[Any]]:
    """NDJSON, as it arrives. A line that is not JSON is Refused with its line and column; blank lines are skipped."""
    pending: list[bytes] = []
    number = 0
    async for chunk in body:
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        if not rest:
            continue
        complete = [b"".join(pending), *rest[:-1]]
        pending = [rest[-1]]
        async for group in _parsed(complete, number):
            yield group
        number += len(complete)
    async for group in _parsed([b"".join(pending)], number):
        yield group


async def document(body: AsyncIterator[bytes]) -> AsyncIterator[list[Any]]:
    """One JSON document, read whole: an object is one record, an array as many as it has elements.

    A 400 problem when it is not JSON, before the first group: then nothing has been sent.
    """
    text = b"".join([chunk async for chunk in body])
    if len(text) <= _SMALL_BYTES or text.lstrip()[:1] != b"[":
        value = parse(text)
        items = value if isinstance(value, list) else [value]
        for start in range(0, len(items), GROUP_RECORDS):
            yield items[start : start + GROUP_RECORDS]
            await asyncio.sleep(0)
        return
    ends = await _boundaries(text)
    elements = [text[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]
    async for group in _parsed(elements, 0, "element"):
        yield group


FORMS: dict[str, tuple[Groups, Callable[[Any], Envelope]]] = {
    "application/json": (document, plain),
    "application/x-ndjson": (lines, plain),
    "application/ndjson": (lines, plain),
    "application/jsonl": (lines, plain),
    "application/cloudevents+json": (document, cloud_event),
    "application/cloudevents-batch+json": (document, cloud_event),
}


async def _parsed(texts: list[bytes], before: int, unit: str = "line") -> AsyncIterator[list[Any]]:
    group: list[Any] = []
    size = 0
    for number, text in enumerate(texts, start=before + 1):
        if not text or text.isspace():
            continue
        try:
            group.append(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            where: Any = {unit: number, "column": error.colno}
            group.append(Refused(BROKEN_JSON, f"{error.msg}: {unit} {number} column {error.colno}", **where))
        size += len(text)
        if len(group) >= GROUP_RECORDS or size >= GROUP_BYTES:
            yield group
            await asyncio.sleep(0)
            group, size = [], 0
    if group:
        yield group
        await asyncio.sleep(0)


async def _boundaries(body: bytes) -> "array[int]":
    """Start and end of every element of a large array, found without keeping a single one.

    The whole array is read before anything is sent, so that one that breaks in its middle has no effect. Read as
    Latin-1 a position in the text is one in the bytes, and what matters to JSON's grammar is ASCII.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise _broken_at(body, error.start, "not UTF-8") from None
    text = body.decode("latin-1")
    scan = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str).raw_decode
    bounds = array("q")
    position = _after_white_space(text, _after_white_space(text, 0) + 1)
    rested = position
    closed = text[position : position + 1] == "]"
    while not closed:
        try:
            _value, end = scan(text, position)
        except (ValueError, RecursionError) as error:
            at = error.pos if isinstance(error, json.JSONDecodeError) else position
            raise _broken_at(body, at, getattr(error, "msg", "no JSON value")) from None
        bounds.extend((position, end))
        position = _after_white_space(text, end)
        mark = text[position : position + 1]
        if mark not in (",", "]") or not mark:
            raise _broken_at(body, position, "a comma or ] is missing")
        closed = mark == "]"
        if not closed:
            position = _after_white_space(text, position + 1)
        if position - rested >= GROUP_BYTES:
            await asyncio.sleep(0)
            rested = position
    if (end := _after_white_space(text, position + 1)) != len(text):
        raise _broken_at(body, end, "there is more after the array")
    return bounds


def _after_white_space(text: str, position: int) -> int:
    match = _WHITE_SPACE.match(text, position)
    assert match is not None, "the expression matches the empty string"
    return match.end()


def _broken_at(body: bytes, position: int, reason: str) -> Exception:
    line = body.count(b"\n", 0, position) + 1
    return broken(reason, line, position - body.rfind(b"\n", 0, position))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
