"""A request body as groups of parsed records, small enough that the event loop is free between two of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from atlas_http.incoming import broken
from atlas_http.json_parts import Broken, TooMuch, after_white_space, elements, has_more_members
from atlas_http.problems import BROKEN_JSON

from atlas_gateway.limits import Limits, too_complex, too_many
from atlas_gateway.posting.envelopes import Envelope, Refused, cloud_event, plain
from atlas_gateway.posting.parsing import Parse, plainly
from atlas_gateway.posting.production import RECORD_TOO_LARGE

# A group takes 3 to 5 ms from text to bytes: the longest that another request waits for this one.
GROUP_RECORDS = 250
GROUP_BYTES = 128 * 1024
# Parsing this much in one go takes up to 3 ms, whatever it is.
_SMALL_BYTES = 128 * 1024
# Below it, a record can't have more members than the least limit that a setting allows.
_UNCOUNTED_BYTES = 32 * 1024
# What an element costs beside its bytes, in bytes.
_TURN_BYTES = 64
# To read numbers exactly takes so many times as long: 32 KB of short decimals 5 ms.
_EXACT_COSTS = 4
_BLANK_LINES = 10_000
# Blank lines are no records, but nobody sends many more of them than records.
_LINES_A_RECORD = 4

Groups = Callable[[AsyncIterator[bytes], Limits, Parse], AsyncIterator[list[Any]]]


async def lines(body: AsyncIterator[bytes], limits: Limits, loads: Parse = plainly) -> AsyncIterator[list[Any]]:
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
        async for group in _parsed(complete, number, limits, loads):
            yield group
        number += len(complete)
        if number > _LINES_A_RECORD * limits.records:
            raise too_many(limits.records)
    async for group in _parsed([b"".join(pending)], number, limits, loads):
        yield group


async def document(body: AsyncIterator[bytes], limits: Limits, loads: Parse = plainly) -> AsyncIterator[list[Any]]:
    """One JSON document, read whole: an object is one record, an array as many as it has elements.

    A problem when it is not JSON (400) or has too many records (413), before the first group: then nothing has been
    sent.
    """
    text = b"".join([chunk async for chunk in body])
    if len(text) <= _SMALL_BYTES:
        value = await _whole(text, loads)
        items = value if isinstance(value, list) else [value]
    elif not text.startswith(b"[", await after_white_space(text, 0)):
        items = [await _large(text, limits) or await _whole(text, loads)]
    else:
        elements = await _elements(text, limits, loads)
        async for group in _parsed(elements, 0, limits, loads, "element"):
            yield group
        return
    if len(items) > limits.records:
        raise too_many(limits.records)
    for start in range(0, len(items), GROUP_RECORDS):
        yield items[start : start + GROUP_RECORDS]
        await asyncio.sleep(0)


FORMS: dict[str, tuple[Groups, Callable[[Any], Envelope]]] = {
    "application/json": (document, plain),
    "application/x-ndjson": (lines, plain),
    "application/ndjson": (lines, plain),
    "application/jsonl": (lines, plain),
    "application/cloudevents+json": (document, cloud_event),
    "application/cloudevents-batch+json": (document, cloud_event),
}


async def _parsed(
    texts: list[bytes], before: int, limits: Limits, loads: Parse, unit: str = "line"
) -> AsyncIterator[list[Any]]:
    group: list[Any] = []
    size = blank = 0
    for number, text in enumerate(texts, start=before + 1):
        if len(text) > _UNCOUNTED_BYTES and (refused := await _large(text, limits)):
            group.append(refused)
            continue
        if not text or text.isspace():
            blank += 1
            if blank % _BLANK_LINES == 0:
                await asyncio.sleep(0)
            continue
        try:
            group.append(await _loaded(text, loads))
        except json.JSONDecodeError as error:
            where: Any = {unit: number, "column": error.colno}
            group.append(Refused(BROKEN_JSON, f"{error.msg}: {unit} {number} column {error.colno}", **where))
        size += len(text) if loads is plainly else _EXACT_COSTS * len(text)
        if len(group) >= GROUP_RECORDS or size >= GROUP_BYTES:
            yield group
            await asyncio.sleep(0)
            group, size = [], 0
    if group:
        yield group
        await asyncio.sleep(0)


async def _loaded(text: bytes, loads: Parse) -> Any:
    """The value. To read many numbers exactly takes long: the event loop is free meanwhile."""
    if loads is plainly or len(text) <= _UNCOUNTED_BYTES:
        return loads(text)
    return await asyncio.to_thread(loads, text)


async def _whole(text: bytes, loads: Parse) -> Any:
    """The value of the whole body; a 400 problem with line and column when it is none."""
    try:
        return await _loaded(text, loads)
    except json.JSONDecodeError as error:
        raise broken(error.msg, error.lineno, error.colno) from None


async def _large(text: bytes, limits: Limits) -> Refused | None:
    """Why a record of this text is not parsed at all; None when it may be."""
    if len(text) > limits.record_bytes:
        return Refused(RECORD_TOO_LARGE, f"The record's JSON is above {limits.record_bytes} bytes.")
    return too_complex(limits.members) if await has_more_members(text, limits.members) else None


async def _elements(text: bytes, limits: Limits, loads: Parse) -> list[bytes]:
    """The elements of a large array, each of them JSON.

    The whole array is read before anything is sent, so that one that breaks in its middle has no effect. Parsed, it
    would take many times its memory: each element is parsed, let go, and parsed again when it is its turn.
    """
    try:
        bounds = await elements(text, limits.records)
    except Broken as error:
        raise _broken_at(text, error.position, str(error)) from None
    except TooMuch:
        raise too_many(limits.records) from None
    found = [text[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    size = 0
    for start, element in zip(bounds[::2], found, strict=True):
        if len(element) <= _UNCOUNTED_BYTES or await _large(element, limits) is None:
            await _check(text, start, element, loads)
        size += _TURN_BYTES + (len(element) if loads is plainly else _EXACT_COSTS * len(element))
        if size >= GROUP_BYTES:
            await asyncio.sleep(0)
            size = 0
    return found


async def _check(text: bytes, start: int, element: bytes, loads: Parse) -> None:
    """Raises the 400 problem when the element, which begins at `start`, is not JSON."""
    try:
        await _loaded(element, loads)
    except json.JSONDecodeError as error:
        try:
            element.decode()
        except UnicodeDecodeError as none:
            raise _broken_at(text, start + none.start, "not UTF-8") from None
        lines_before = text.count(b"\n", 0, start) + error.lineno - 1
        columns_before = start - text.rfind(b"\n", 0, start) - 1 if error.lineno == 1 else 0
        raise broken(error.msg, lines_before + 1, columns_before + error.colno) from None


def _broken_at(body: bytes, position: int, reason: str) -> Exception:
    line = body.count(b"\n", 0, position) + 1
    return broken(reason, line, position - body.rfind(b"\n", 0, position))
