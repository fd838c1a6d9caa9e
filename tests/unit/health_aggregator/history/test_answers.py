"""GET /lag/history: which points answer what is asked, how many at most, and what is refused how."""

import time
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_contracts.values.timestamps import rfc3339
from atlas_health_aggregator.history.answers import PAGE_POINTS_MAX, POINTS_MAX, Asked, asked_for, history_routes
from atlas_health_aggregator.history.points import LEVELS, WEEK_MS
from atlas_health_aggregator.history.remembering import History, Lag
from atlas_runtime.serving.paging import NoPage
from hypothesis import given
from hypothesis import strategies as st

HOUR = 3_600_000
NOW = 1_790_000_000_000 // HOUR * HOUR


def back(ms: int) -> str:
    return rfc3339(NOW - ms)


def filled(series: int = 1) -> History:
    """Ten minutes until now, 100 records a minute, in which the most of a minute is not its last."""
    history, now = History(1000), time.time_ns() // 1_000_000
    for number in range(60):
        at = now - (60 - number) * 10_000
        lags = {(f"g{each:03}", "t"): Lag(1000 if number % 7 == 0 else 1, None, False) for each in range(series)}
        history.observe(lags, at)
    history.complete = True
    return history


async def get(history: History, query: str = "") -> tuple[int, Any]:
    app = web.Application()
    app.add_routes(history_routes(history))
    async with TestClient(TestServer(app)) as client, client.get(f"/lag/history{query}") as response:
        return response.status, await response.json(content_type=None)


async def test_the_last_hour_by_default() -> None:
    status, body = await get(filled())
    assert (status, body["step"], body["next_cursor"]) == (200, 10, None)
    (item,) = body["items"]
    assert (item["group"], item["topic"]) == ("g000", "t")
    assert len(item["points"]) in (60, 61), "an observation every 10 s"
    at = [point["at"] for point in item["points"]]
    assert at == sorted(set(at)), "no point twice"
    assert body["from"] < at[0] < at[-1] < body["to"]


async def test_longer_points_keep_the_most() -> None:
    history = filled()
    start = rfc3339(time.time_ns() // 1_000_000 - HOUR)
    for step in (20, 60, 120, 600, 3600):
        status, body = await get(history, f"?step={step}&from={start}")
        (item,) = body["items"]
        assert (status, body["step"]) == (200, step)
        assert len(item["points"]) <= 600 // step + 2
        assert max(point["records_max"] for point in item["points"]) == 1000
        assert item["points"][-1]["records_last"] == 1
        assert all(point["seconds_max"] is None for point in item["points"])


async def test_one_group_one_topic_or_none() -> None:
    history = filled(3)
    assert [item["group"] for item in (await get(history, "?group=g001"))[1]["items"]] == ["g001"]
    assert len((await get(history, "?topic=t"))[1]["items"]) == 3
    assert (await get(history, "?group=nobody"))[1]["items"] == []
    old = f"?from={rfc3339(time.time_ns() // 1_000_000 - 3 * HOUR)}&to={rfc3339(time.time_ns() // 1_000_000 - HOUR)}"
    assert (await get(history, old))[1]["items"] == [], "nothing was observed then"


async def test_pages_have_every_series_once_and_never_too_many_points() -> None:
    history, found, cursor = filled(90), [], ""
    for _page in range(90):
        status, body = await get(history, f"?limit=500{cursor}")
        assert status == 200
        assert len(body["items"]) * 360 <= PAGE_POINTS_MAX
        found += [item["group"] for item in body["items"]]
        if body["next_cursor"] is None:
            break
        cursor = f"&cursor={body['next_cursor']}"
    assert found == [f"g{number:03}" for number in range(90)]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("from=yesterday", "from: found yesterday, expected a time such as 2026-01-01T10:00:00Z."),
        ("to=1", "to: found 1, expected a time such as 2026-01-01T10:00:00Z."),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from: found 2026-01-02T00:00:00Z, expected a time be"),
        ("step=7", "step: found 7, expected a whole number of seconds, a multiple of 10."),
        ("step=0", "step: found 0, expected a whole number of seconds, a multiple of 10."),
        ("step=-10", "step: found -10, expected"),
        ("step=" + "1" * 5000, "step: found 111"),
        ("step=10&from=2000-01-01T00:00:00Z", "step: found 10, expected a multiple of 600 seconds for a time from"),
        ("form=x", "form: found a parameter of this name, expected one of group, topic, from, to, step, limit, cursor"),
        ("group=a&group=b", "group: found several values, expected one value."),
        ("limit=501", "limit: found 501, expected a whole number from 1 to 500."),
        ("cursor=x", "cursor: found x, expected next_cursor of the page before."),
    ],
)
async def test_what_is_wrong_is_named(query: str, detail: str) -> None:
    status, body = await get(filled(), f"?{query}")
    assert (status, body["status"], body["title"]) == (422, 422, "Unprocessable Entity")
    assert detail in body["detail"]


async def test_until_what_was_kept_is_read_there_is_no_answer() -> None:
    status, body = await get(History(1))
    assert (status, body["detail"]) == (503, "The history is being read; try again.")


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ({}, Asked(NOW - HOUR, NOW, 0, 10_000)),
        ({"from": back(2 * HOUR)}, Asked(NOW - 2 * HOUR, NOW, 0, 10_000)),
        ({"from": back(24 * HOUR)}, Asked(NOW - 24 * HOUR, NOW, 1, 60_000)),
        ({"from": back(WEEK_MS)}, Asked(NOW - WEEK_MS, NOW, 2, 600_000)),
        ({"from": back(52 * WEEK_MS)}, Asked(NOW - WEEK_MS, NOW, 2, 600_000)),
        ({"from": back(HOUR), "step": "600"}, Asked(NOW - HOUR, NOW, 2, 600_000)),
        ({"from": back(3 * HOUR), "step": "120"}, Asked(NOW - 3 * HOUR, NOW, 1, 120_000)),
        ({"from": back(3 * HOUR), "to": back(2 * HOUR)}, Asked(NOW - 3 * HOUR, NOW - 2 * HOUR, 1, 60_000)),
        ({"to": back(-HOUR)}, Asked(NOW, NOW + 10_000, 0, 10_000)),
    ],
)
def test_the_finest_points_that_reach_back_as_far(query: dict[str, str], asked: Asked) -> None:
    assert asked_for(query, NOW) == asked


@given(st.integers(-HOUR, 2 * WEEK_MS), st.integers(-HOUR, 2 * WEEK_MS), st.none() | st.integers(1, 1000))
def test_no_series_has_more_points_than_the_most(start: int, end: int, tens: int | None) -> None:
    query = {"from": back(start), "to": back(end)} | ({} if tens is None else {"step": str(tens * 10)})
    if start <= end or (tens is not None and refused(query)):
        return
    asked = asked_for(query, NOW)
    assert 0 < asked.points <= POINTS_MAX
    assert asked.start % asked.step_ms == 0
    assert asked.step_ms % LEVELS[asked.level].step_ms == 0


def refused(query: dict[str, str]) -> bool:
    try:
        asked_for(query, NOW)
    except NoPage as error:
        return error.name == "step"
    return False
