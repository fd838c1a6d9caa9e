"""GET /lag/history: the lag of groups and topics over a time, in points of one length."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from atlas_contracts.values.timestamps import parse_rfc3339, rfc3339
from atlas_runtime.serving.http_server import document
from atlas_runtime.serving.paging import NoPage, page

from atlas_health_aggregator.history.points import LEVELS, WEEK_MS, Point, merged
from atlas_health_aggregator.history.remembering import History, Key

# Of one series, and of all of a page: so an answer has at most about a megabyte, and is made in milliseconds.
POINTS_MAX = 2000
PAGE_POINTS_MAX = 10_000
DEFAULT_SPAN_MS = 3600 * 1000
PARAMETERS = ("group", "topic", "from", "to", "step", "limit", "cursor")
_STEP_DIGITS = 7


class Asked(NamedTuple):
    """Points of `step_ms` from `start` (included) to `end` (not), taken from the ring of `level`."""

    start: int
    end: int
    level: int
    step_ms: int

    @property
    def points(self) -> int:
        """How many points a series has at most."""
        return -(-(self.end - self.start) // self.step_ms)


def history_routes(history: History) -> list[web.RouteDef]:
    """GET /lag/history, in pages of series; 422 for a parameter that is wrong, 503 until what was kept is read."""

    async def lag_history(request: web.Request) -> web.Response:
        if not history.complete:
            return document(503, "The history is being read; try again.", {"Retry-After": "1"})
        try:
            query = once_each(request)
            asked = asked_for(query, time.time_ns() // 1_000_000)
            keys, next_cursor = _page(history, query, asked)
        except NoPage as error:
            return document(422, f"{error}.")
        answer = {
            "from": rfc3339(asked.start),
            "to": rfc3339(asked.end),
            "step": asked.step_ms // 1000,
            "items": [
                {"group": group, "topic": topic, "points": [_as_json(start, point) for start, point in points]}
                for group, topic in keys
                if (points := list(points_of(history, (group, topic), asked)))
            ],
            "next_cursor": next_cursor,
        }
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    return [web.get("/lag/history", lag_history)]


def once_each(request: web.Request) -> dict[str, str]:
    """The parameters, each of which is known and there once. Raises NoPage."""
    for name in request.query:
        if name not in PARAMETERS:
            raise NoPage(name[:100], "a parameter of this name", f"one of {', '.join(PARAMETERS)}")
        if len(request.query.getall(name)) > 1:
            raise NoPage(name, "several values", "one value")
    return dict(request.query)


def asked_for(query: Mapping[str, str], now_ms: int) -> Asked:
    """What is asked for: by default the last hour, in the finest points that reach back as far. Raises NoPage."""
    end = _time("to", query["to"]) if "to" in query else now_ms
    start = _time("from", query["from"]) if "from" in query else end - DEFAULT_SPAN_MS
    if start >= end:
        raise NoPage("from", query.get("from", rfc3339(max(start, 0))), f"a time before {rfc3339(end)}")
    # Nothing is older or newer than this.
    start, end = max(start, now_ms - WEEK_MS), min(end, now_ms + LEVELS[0].step_ms)
    reaching = [number for number, level in enumerate(LEVELS) if now_ms - level.span_ms <= start]
    finest = min(reaching, default=len(LEVELS) - 1)
    if "step" not in query:
        return _aligned(start, end, finest, LEVELS[finest].step_ms)
    step_ms = _step(query["step"])
    least = LEVELS[finest].step_s
    fitting = [number for number in range(finest, len(LEVELS)) if step_ms % LEVELS[number].step_ms == 0]
    if not fitting:
        raise NoPage("step", query["step"], f"a multiple of {least} seconds for a time from {rfc3339(start)} on")
    asked = _aligned(start, end, max(fitting), step_ms)
    if asked.points > POINTS_MAX:
        enough = -(-(end - start) // POINTS_MAX)
        enough_s = -(-enough // (least * 1000)) * least
        raise NoPage("step", query["step"], f"{enough_s} or more: at most {POINTS_MAX} points are given")
    return asked


def points_of(history: History, key: Key, asked: Asked) -> Iterator[tuple[int, Point]]:
    """When each point begins, and the point; those in which nothing was observed are not there."""
    of_start: dict[int, Point] = {}
    for point in history.points(key, asked.level, asked.start, asked.end):
        start = point.at // asked.step_ms * asked.step_ms
        of_start[start] = merged(of_start[start], point) if start in of_start else point
    yield from of_start.items()


def _aligned(start: int, end: int, level: int, step_ms: int) -> Asked:
    start = start // step_ms * step_ms
    return Asked(start, max(end, start + 1), level, step_ms)


def _page(history: History, query: Mapping[str, str], asked: Asked) -> tuple[list[Key], str | None]:
    group, topic = query.get("group"), query.get("topic")
    keys = [key for key in history.series() if group in (None, key[0]) and topic in (None, key[1])]
    found, next_cursor = page(query, keys, tuple)
    fit = max(1, PAGE_POINTS_MAX // asked.points)
    if len(found) > fit:
        found, next_cursor = page({**query, "limit": str(fit)}, keys, tuple)
    return found, next_cursor


def _as_json(start: int, point: Point) -> dict[str, Any]:
    return {
        "at": rfc3339(start),
        "records_max": point.records_max,
        "records_last": point.records_last,
        "seconds_max": point.seconds_max,
        "seconds_last": point.seconds_last,
    }


def _time(name: str, text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise NoPage(name, text, "a time such as 2026-01-01T10:00:00Z") from None


def _step(text: str) -> int:
    least = LEVELS[0].step_s
    if text.isascii() and text.isdigit() and len(text) <= _STEP_DIGITS and int(text) and int(text) % least == 0:
        return int(text) * 1000
    raise NoPage("step", text, f"a whole number of seconds, a multiple of {least}")
