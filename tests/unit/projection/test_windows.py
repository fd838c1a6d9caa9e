"""Windows, several rows an event, and all of them or none."""

from dataclasses import replace

import pytest
from atlas_contracts.events import Meta
from atlas_projection.given import event, given
from atlas_projection.projection import Projection, Rejected, Row, Value
from atlas_projection.windows import DAY_MS, HOUR_MS, windows
from atlas_readmodel.table import Table
from hypothesis import given as over
from hypothesis import strategies as st

META = Meta("t", 0, 0, 0, None, ())


def counted(row: Row | None, value: Value, _meta: Meta) -> Row:
    return {"window_start": value["window_start"], "n": (row["n"] if row else 0) + 1}


BY_HOUR = Projection(
    name="by_hour",
    version=1,
    topics=("t.events",),
    table=Table(columns={"window_start": "bigint NOT NULL", "n": "bigint NOT NULL"}, key=("window_start",)),
    handlers={"t.Happened": counted},
    each=windows("at", HOUR_MS),
)


def test_each_event_is_counted_in_its_hour() -> None:
    scenario = given(BY_HOUR)
    for at in (0, HOUR_MS - 1, HOUR_MS, 5 * HOUR_MS + 7):
        scenario.events(event("t.Happened", name="x", at=at))
    counts = {key[0] // HOUR_MS: row["n"] for key, row in scenario.rows.items()}
    assert counts == {0: 2, 1: 1, 5: 1}


def test_windows_that_overlap() -> None:
    hopping = replace(BY_HOUR, each=windows("at", 3 * HOUR_MS, every_ms=HOUR_MS))
    scenario = given(hopping).events(event("t.Happened", name="x", at=10 * HOUR_MS + 5))
    assert sorted(key[0] // HOUR_MS for key in scenario.rows) == [8, 9, 10]


@over(at=st.integers(-(10**12), 10**13), hours=st.integers(1, 24))
def test_every_window_holds_its_event_and_none_is_left_out(at: int, hours: int) -> None:
    size = hours * HOUR_MS
    starts = [part["window_start"] for part in windows("at", size, every_ms=HOUR_MS)({"at": at}, META)]
    assert len(set(starts)) == hours
    assert all(start <= at < start + size and start % HOUR_MS == 0 for start in starts)


def test_an_event_without_a_time_is_in_no_window() -> None:
    with pytest.raises(Rejected, match="at is null"):
        windows("at", DAY_MS)({"at": None}, META)


def test_a_step_has_to_divide_the_window() -> None:
    with pytest.raises(ValueError, match="every_ms: 7 does not divide"):
        windows("at", DAY_MS, every_ms=7)


def both_ends(value: Value, _meta: Meta) -> list[Value]:
    return [value | {"window_start": value["from"]}, value | {"window_start": value["to"]}]


def not_thirteen(row: Row | None, value: Value, meta: Meta) -> Row:
    if value["window_start"] == 13:
        raise Rejected("thirteen")
    return counted(row, value, meta)


def test_all_rows_of_an_event_change_or_none() -> None:
    ends = replace(BY_HOUR, each=both_ends, handlers={"t.Happened": not_thirteen})
    scenario = given(ends).events(
        event("t.Happened", **{"name": "a", "from": 1, "to": 13}),
        event("t.Happened", **{"name": "b", "from": 1, "to": 1}),
        event("t.Happened", **{"name": "c", "from": 1, "to": 2}),
    )
    assert {key[0]: row["n"] for key, row in scenario.rows.items()} == {1: 3, 2: 1}
    assert scenario.rejected == ["thirteen"]
