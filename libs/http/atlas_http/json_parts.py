"""The parts of a large JSON text, found by its structure alone, in slices between which the event loop is free.

A parser takes a text in one go, which for some megabytes of nothing but brackets is a second and a gigabyte. So what is
large is looked at first: where the elements of an array are, and how many members a value has. Whether each part is
JSON is left to the parser, which then gets them one at a time.
"""

import asyncio
import re
from array import array

_WINDOW_BYTES = 64 * 1024
# Either is about 1 ms of work.
_PAUSE_BYTES = 256 * 1024
_PAUSE_TURNS = 2000
# What an element takes: few turns, because what has no container in a container is passed in one.
_TURNS_EACH = 20

# A text that nests deeper is none to any parser here.
_DEPTH_MAX = 1000

_WHITE_SPACE = re.compile(rb"[ \t\n\r]*+")
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_PLAIN, _STRING = rb'[^"\[\]{}]++', rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# A container without another in it: what records mostly are made of, skipped at once.
_FLAT = rb"[\[{](?:" + _PLAIN + rb"|" + _STRING + rb")*+[\]}]"
_TOP = re.compile(rb'[^"\[\]{},]*+')
_INSIDE = re.compile(rb"(?:" + _PLAIN + rb"|" + _STRING + rb"|" + _FLAT + rb")*+", re.DOTALL)
_FLAT_ONE = re.compile(_FLAT, re.DOTALL)
_QUOTE, _COMMA, _CLOSE = b'",]'


class Broken(ValueError):
    """The text stops being JSON at `position`."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.position = position


class TooMuch(ValueError):
    """To look at the whole text is more work than it is worth."""


class _Pauses:
    """Lets others have the event loop when about a millisecond's worth of turns or bytes was done."""

    def __init__(self) -> None:
        self._rested_turn = 0
        self._rested_at = 0
        self.turns = 0

    async def turn(self, position: int) -> None:
        self.turns += 1
        if self.turns - self._rested_turn >= _PAUSE_TURNS or position - self._rested_at >= _PAUSE_BYTES:
            self._rested_turn, self._rested_at = self.turns, position
            await asyncio.sleep(0)


async def elements(text: bytes, most: int) -> "array[int]":
    """Start and end of every element of the array that is the whole text.

    What stands between two commas may still be no JSON. Raises Broken when the array has no end, TooMuch when it has
    more than `most` elements, or so many containers in containers that so many records don't have them.
    """
    bounds = array("q")
    pauses, size, depth = _Pauses(), len(text), 1
    start = position = await after_white_space(text, 0) + 1
    while position < size:
        await pauses.turn(position)
        mark = text[position]
        if mark == _QUOTE:
            position = await _after_text(text, position + 1, pauses)
        elif mark in b"[{":
            flat = _FLAT_ONE.match(text, position, position + _WINDOW_BYTES)
            depth += flat is None
            position = position + 1 if flat is None else flat.end()
        elif mark in b"]}":
            depth -= 1
            if depth == 0:
                break
            position += 1
        elif mark == _COMMA and depth == 1:
            bounds.extend((start, position))
            start = position = position + 1
        else:
            position = _end(_TOP if depth == 1 else _INSIDE, text, position)
        if depth > _DEPTH_MAX:
            raise Broken("nested too deeply", position)
        if len(bounds) >= 2 * most or pauses.turns > _TURNS_EACH * most:
            raise TooMuch(f"more than {most} elements, or as much as more")
    if position >= size or text[position] != _CLOSE:
        raise Broken("the array has no end", min(position, size))
    if bounds or await after_white_space(text, start) < position:
        bounds.extend((start, position))
    if (end := await after_white_space(text, position + 1)) != size:
        raise Broken("there is more after the array", end)
    return bounds


async def has_more_members(text: bytes, most: int) -> bool:
    """Whether the value has more than `most` members and containers, within strings none; stops at the first too many.

    Of a text that is no JSON it says something, in no more time.
    """
    if text.count(b",") + text.count(b"[") + text.count(b"{") <= most:
        return False
    pauses, size, position, count, strings = _Pauses(), len(text), 0, 0, 0
    while position < size:
        await pauses.turn(position)
        quote = text.find(b'"', position, position + _WINDOW_BYTES)
        end = quote if quote >= 0 else position + _WINDOW_BYTES
        between = text[position:end]
        count += between.count(b",") + between.count(b"[") + between.count(b"{")
        strings += quote >= 0
        if count > most or strings > 2 * most + 1:
            return True
        try:
            position = end if quote < 0 else await _after_text(text, quote + 1, pauses)
        except Broken:
            break
    return False


async def after_white_space(text: bytes, position: int) -> int:
    """Where the white space that begins at `position` ends."""
    pauses = _Pauses()
    while (end := _end(_WHITE_SPACE, text, position)) == position + _WINDOW_BYTES:
        position = end
        await pauses.turn(position)
    return end


async def _after_text(text: bytes, position: int, pauses: _Pauses) -> int:
    """Behind the quote that ends the string whose inside begins at `position`."""
    while True:
        end = _end(_TEXT, text, position)
        if text[end : end + 1] == b'"':
            return end + 1
        if end == position:
            raise Broken("a string has no end", len(text))
        position = end
        await pauses.turn(position)


def _end(pattern: "re.Pattern[bytes]", text: bytes, position: int) -> int:
    match = pattern.match(text, position, position + _WINDOW_BYTES)
    assert match is not None, "the expression matches the empty string"
    return match.end()
