"""The history of lag that the health-aggregator keeps, as asked over HTTP."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from atlas_cli.terminal.output import CommandError
from atlas_cli.terminal.sparklines import sparkline

if TYPE_CHECKING:
    from atlas_cli.asking import Service

PAGE_SERIES = 500
# Of a series, so that a span of any length comes in its finest points.
POINTS_MAX = 2000
# Of the line of bars that a series has in a table: beside the mesh's own names it fits 80 columns.
BARS_MAX = 20
# No blank, at which a table would break the line.
_GAP = "_"
# How far back, and the step that all points are multiples of: as the aggregator keeps them.
_KEPT = ((2 * 3600, 10), (24 * 3600, 60), (7 * 24 * 3600, 600))
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Point(TypedDict):
    """The most and the last of one step that begins `at`; seconds are None where nobody knew them."""

    at: str
    records_max: int
    records_last: int
    seconds_max: float | None
    seconds_last: float | None


class Item(TypedDict):
    """A group and a topic."""

    group: str
    topic: str
    points: list[Point]


class _Answer(TypedDict):
    items: list[Item]
    next_cursor: str | None


def parse_span(text: str) -> int:
    """Seconds of a span such as 30m, 2h or 7d. Raises CommandError."""
    found = _SPAN.fullmatch(text)
    seconds = int(found[1]) * _UNIT_S[found[2]] if found else 0
    if not 0 < seconds <= _KEPT[-1][0]:
        raise CommandError(f"--history {text}: not a span of up to 7d, such as 30m, 2h or 1d")
    return seconds


def step_for(span_s: int, points: int) -> int:
    """The step in seconds by which a span is at most so many points, and that reaches back as far."""
    base = next(step for reach, step in _KEPT if span_s <= reach)
    return -(-span_s // (points * base)) * base


async def read_history(
    service: "Service", wanted: Mapping[str, str | None], span_s: int, step_s: int, now: datetime | None = None
) -> list[Item]:
    """Every series of the last `span_s` seconds in points of `step_s`, of all pages. Raises CommandError."""
    now = now or datetime.now(UTC)
    # A step less, or the moments that this takes would be beyond what is kept in points as fine.
    start = now - timedelta(seconds=span_s - min(step_s, span_s // 2))
    query = {name: value for name, value in wanted.items() if value is not None}
    query |= {"from": _text(start), "to": _text(now + timedelta(seconds=step_s)), "step": str(step_s)}
    query["limit"] = str(PAGE_SERIES)
    items: list[Item] = []
    while True:
        answer: _Answer = await service.ask("GET", "/lag/history", _Answer, query=query)
        items += answer["items"]
        if answer["next_cursor"] is None:
            return items
        query["cursor"] = answer["next_cursor"]


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def start_of(point: Point) -> float:
    """When a point begins, in seconds since the epoch."""
    return datetime.fromisoformat(point["at"]).timestamp()


def table_rows(items: list[Item], span_s: int, bars: str) -> list[dict[str, Any]]:
    """A row a series, the most that it was behind in seconds first, with a line of bars of its records."""
    step_s = step_for(span_s, BARS_MAX)
    count = -(-span_s // step_s)
    newest = max((start_of(point) for item in items for point in item["points"]), default=0.0)
    rows = []
    for item in items:
        of_place = {round((newest - start_of(point)) / step_s): point["records_max"] for point in item["points"]}
        known = [point["seconds_max"] for point in item["points"] if point["seconds_max"] is not None]
        rows.append(
            {
                "group": item["group"],
                "topic": item["topic"],
                "most_records": max(point["records_max"] for point in item["points"]),
                "most_seconds": max(known, default=None),
                "records": item["points"][-1]["records_last"],
                "seconds": item["points"][-1]["seconds_last"],
                "lag": sparkline([of_place.get(place) for place in reversed(range(count))], bars, _GAP),
            }
        )
    return sorted(rows, key=lambda row: (-(row["most_seconds"] or 0), -row["most_records"], row["group"], row["topic"]))
