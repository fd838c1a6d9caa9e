"""What is asked of the aggregator for a span, and what is made of its answer."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from atlas_cli.mesh.lag_history import Item, parse_span, read_history, step_for, table_rows
from atlas_cli.terminal.output import CommandError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def point(at: str, most: int, last: int, seconds: float | None = None) -> Any:
    return {"at": at, "records_max": most, "records_last": last, "seconds_max": seconds, "seconds_last": seconds}


class Pages:
    """Answers with one item a page."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.queries: list[Mapping[str, str]] = []

    async def ask(self, _method: str, path: str, _shape: Any, *, query: Mapping[str, str]) -> Any:
        assert path == "/lag/history"
        self.queries.append(dict(query))
        at = int(query.get("cursor", 0))
        return {"items": self.items[at : at + 1], "next_cursor": str(at + 1) if at + 1 < len(self.items) else None}


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("30m", 1800), ("2h", 7200), ("7d", 604_800)])
def test_a_span(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "0h", "8d", "1w", "-1h", "1.5h", "9" * 40 + "s"])
def test_no_span(text: str) -> None:
    with pytest.raises(CommandError, match="not a span of up to 7d, such as 30m, 2h or 1d"):
        parse_span(text)


@pytest.mark.parametrize(
    ("span", "points", "step"),
    [(3600, 40, 90), (7200, 2000, 10), (86_400, 40, 2160), (604_800, 40, 15_600), (45, 9, 10)],
)
def test_a_step_is_a_multiple_of_what_is_kept_for_so_long(span: int, points: int, step: int) -> None:
    assert step_for(span, points) == step
    assert -(-span // step) <= points


async def test_every_page_is_read_of_what_is_wanted() -> None:
    items: list[Item] = [{"group": name, "topic": "t", "points": []} for name in "abc"]
    pages = Pages(items)
    found = await read_history(pages, {"group": None, "topic": "t"}, 3600, 90, NOW)  # type: ignore[arg-type]
    assert found == items
    first = {"topic": "t", "from": "2026-01-01T11:01:30.000Z", "to": "2026-01-01T12:01:30.000Z", "step": "90"}
    assert pages.queries[0] == first | {"limit": "500"}
    assert [query.get("cursor") for query in pages.queries] == [None, "1", "2"]


def test_a_row_has_the_most_the_last_and_a_line() -> None:
    items: list[Item] = [
        {"group": "calm", "topic": "t", "points": [point("2026-01-01T12:00:00.000Z", 0, 0, 0.0)]},
        {
            "group": "late",
            "topic": "t",
            "points": [
                point("2026-01-01T11:57:00.000Z", 70, 10, 9.5),
                point("2026-01-01T12:00:00.000Z", 10, 3),
            ],
        },
    ]
    late, calm = table_rows(items, 3600, "▁▂▃▄▅▆▇█")
    assert (late["group"], late["most_records"], late["most_seconds"], late["records"]) == ("late", 70, 9.5, 3)
    assert late["seconds"] is None
    assert late["lag"] == "_" * 18 + "█▂"
    assert calm["lag"] == "_" * 19 + "▁"
    assert table_rows([], 3600, "▁█") == []
