"""Looking again and again: rates, lines of the last minutes, and an aggregator that goes away."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from atlas_cli.mesh import lag_watch
from atlas_cli.mesh.lag_history import Item
from atlas_cli.mesh.lag_watch import BAR_S, BARS_KEPT, Frame, Looked, Trails, watch, with_rates
from atlas_cli.terminal.output import CommandError
from hypothesis import given
from hypothesis import strategies as st

KEY = ("g", "t")


def looked(at: float, read: int | None, records: int | None = 5) -> Looked:
    row = {"group": "g", "topic": "t", "records": records, "seconds": 1.0, "state": "lagging"}
    return Looked([row], {} if read is None else {KEY: read}, at)


@pytest.mark.parametrize(
    ("before", "now", "rate"),
    [
        (None, looked(10, 100), None),
        (looked(8, 50), looked(10, 100), 25.0),
        (looked(8, 100), looked(10, 100), 0.0),
        (looked(8, 100), looked(10, 50), None),
        (looked(8, None), looked(10, 50), None),
        (looked(10, 1), looked(10, 50), None),
    ],
)
def test_the_rate_is_what_was_read_between_two_looks(before: Looked | None, now: Looked, rate: float | None) -> None:
    assert [row["read_per_s"] for row in with_rates(now, before)] == [rate]


@given(st.lists(st.tuples(st.integers(0, BAR_S * BARS_KEPT * 2), st.integers(0, 10**9)), max_size=40))
def test_a_trail_has_the_most_of_each_bar_and_never_more_bars(seen: list[tuple[int, int]]) -> None:
    trails, end = Trails(), BAR_S * BARS_KEPT * 2
    for at, records in seen:
        trails.add(KEY, at, records)
    bars = trails.shown(end).get(KEY, [None] * BARS_KEPT)
    assert len(bars) == BARS_KEPT
    first = end // BAR_S - BARS_KEPT + 1
    for place, most in enumerate(bars):
        same = [records for at, records in seen if at // BAR_S == first + place]
        assert most == max(same, default=None)


def test_history_and_what_is_seen_live_are_one_line() -> None:
    trails, now = Trails(), datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    points: Any = [
        {"at": f"2026-01-01T11:59:{second}.000Z", "records_max": most, "records_last": 0}
        for second, most in ((20, 7), (40, 9))
    ]
    trails.add_history([{"group": "g", "topic": "t", "points": points}])
    trails.add(KEY, now - 1, 8)
    trails.add(KEY, now, 3)
    assert trails.shown(now)[KEY][-4:] == [None, 7, 9, 3]


class Mesh:
    """Gives one look after the other, an error where it is one, and stops after the last."""

    def __init__(self, *looks: Looked | CommandError, past: Item | CommandError) -> None:
        self.looks = list(looks)
        self.past_answer = past
        self.asked = 0
        self.frames: list[Frame] = []
        self.stop = asyncio.Event()

    async def look(self) -> Looked:
        found = self.looks.pop(0)
        if not self.looks:
            self.stop.set()
        if isinstance(found, CommandError):
            raise found
        return found

    async def past(self) -> list[Item]:
        self.asked += 1
        if isinstance(self.past_answer, CommandError):
            raise self.past_answer
        return [self.past_answer]

    async def watched(self) -> None:
        async with asyncio.timeout(10):
            await watch(self.look, self.past, self.frames.append, self.stop)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag_watch, "EVERY_S", 0.001)


EMPTY: Item = {"group": "g", "topic": "t", "points": []}


async def test_each_look_is_shown_and_history_is_asked_for_once() -> None:
    mesh = Mesh(looked(1, 10), looked(2, 30), past=EMPTY)
    await mesh.watched()
    assert [frame.rows[0]["read_per_s"] for frame in mesh.frames] == [None, 20.0]
    assert mesh.frames[-1].trails[KEY][-1] == 5
    assert mesh.asked == 1


async def test_an_aggregator_that_is_away_from_the_first_is_an_error() -> None:
    with pytest.raises(CommandError, match="away"):
        await Mesh(CommandError("away"), past=EMPTY).watched()


async def test_one_that_goes_away_later_is_said_and_asked_for_what_was_missed() -> None:
    mesh = Mesh(looked(1, 10), CommandError("away"), looked(3, 30, None), past=EMPTY)
    await mesh.watched()
    assert [frame.trouble for frame in mesh.frames] == [None, "away", None]
    assert mesh.frames[1].rows == mesh.frames[0].rows
    assert mesh.asked == 2


async def test_without_a_history_there_is_what_is_seen_live() -> None:
    mesh = Mesh(looked(1, 10), looked(2, 30), past=CommandError("404"))
    await mesh.watched()
    assert [frame.trouble for frame in mesh.frames] == [None, None]
    assert mesh.frames[-1].trails[KEY][-1] == 5
    assert mesh.asked == 2, "it may have one the next time"
