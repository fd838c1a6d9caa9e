"""Blocks of history as records of its topic, and back. Pure.

The key is the block's place in its level's ring, so a block takes the place of the one a lap before and compaction
keeps the topic as small as the rings. The value is JSON:

    {"v": 1, "step": 10, "block": 29760480, "whole": true, "part": 0, "parts": 1, "by": "health-aggregator-1",
     "series": [["group", "topic", [[at, records_max, records_last, seconds_max, seconds_last], …]], …]}
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from atlas_health_aggregator.history.points import LEVELS, WEEK_MS, Point
from atlas_health_aggregator.history.remembering import Block, Key

VERSION = 1
# Far less than a broker takes as one record: it is taken in some milliseconds, and others have their turn then.
PART_MAX_BYTES = 64 * 1024
# Clocks of two aggregators may differ; what is further ahead would lie in a slot for as long, and is not believed.
AHEAD_MS = 60_000
_NUMBER_MAX = 2**53
_LEVEL_OF_STEP = {level.step_s: number for number, level in enumerate(LEVELS)}


class Odd(ValueError):
    """A record of the topic that is no block; says why."""


class Part(NamedTuple):
    """What one record says. `whole`: it is the last part of a block that is over."""

    block: Block
    whole: bool
    points: Mapping[Key, Sequence[Point]]


def records_of(
    block: Block, series: Iterator[tuple[Key, list[Point]]], *, by: str, whole: bool
) -> list[tuple[bytes, bytes]]:
    """Key and value of each record of a block, in order; none of a block without points."""
    level = LEVELS[block.level]
    parts: list[list[bytes]] = []
    size = PART_MAX_BYTES
    for (group, topic), points in series:
        one = orjson.dumps([group, topic, [tuple(point) for point in points]])
        if size + len(one) > PART_MAX_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += len(one)
    head = {"v": VERSION, "step": level.step_s, "block": block.number, "whole": whole, "parts": len(parts), "by": by}
    place = f"{level.step_s}s/{block.number % level.blocks}"
    return [
        (f"{place}/{number}".encode(), orjson.dumps({**head, "part": number, "series": [*map(orjson.Fragment, part)]}))
        for number, part in enumerate(parts)
    ]


def part_of(value: bytes | None, now_ms: int) -> Part:
    """What a record says. Points that are too old to be kept, or of a time to come, are left out. Raises Odd."""
    try:
        found = orjson.loads(value or b"")
        if found["v"] != VERSION:
            raise Odd(f"version {found['v']!r:.20}, expected {VERSION}")
        block = Block(_LEVEL_OF_STEP[found["step"]], _number(found["block"]))
        whole = found["whole"] is True and _number(found["part"]) == _number(found["parts"]) - 1
        points = {
            (_text(group), _text(topic)): list(_points(block, of_series, now_ms))
            for group, topic, of_series in found["series"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise Odd(f"no block of history: {type(error).__name__}: {error}"[:200]) from None
    return Part(block, whole, points)


def _points(block: Block, found: Sequence[Any], now_ms: int) -> Iterator[Point]:
    if len(found) > LEVELS[block.level].block:
        raise Odd(f"{len(found)} points in a block of {LEVELS[block.level].block}")
    last, end = block.start_ms - 1, block.end_ms
    for each in found:
        at, records_max, records_last, seconds_max, seconds_last = each
        if not (_is_number(at) and last < at < end):
            raise Odd(f"a point of {at!r:.40} after {last} in the block from {block.start_ms}")
        if not (_is_number(records_max) and _is_number(records_last)):
            raise Odd(f"found {each!r:.80}, expected whole numbers of records")
        if not (_is_seconds(seconds_max) and _is_seconds(seconds_last)):
            raise Odd(f"found {each!r:.80}, expected seconds")
        last = at
        if now_ms - WEEK_MS < at < now_ms + AHEAD_MS:
            yield Point(at, records_max, records_last, seconds_max, seconds_last)


def _is_number(found: Any) -> bool:
    return type(found) is int and 0 <= found <= _NUMBER_MAX


def _is_seconds(found: Any) -> bool:
    return found is None or (type(found) in (int, float) and 0 <= found <= _NUMBER_MAX)


def _number(found: Any) -> int:
    if not _is_number(found):
        raise Odd(f"found {found!r:.40}, expected a whole number")
    return int(found)


def _text(found: Any) -> str:
    if type(found) is not str:
        raise Odd(f"found {found!r:.40}, expected a name")
    return found
