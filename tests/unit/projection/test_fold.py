"""What fold promises whatever the projection: order, versions, and that batches do not matter."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from atlas_contracts.events import Meta
from atlas_hauls.projections.routes import ROUTES
from atlas_projection.change import Change, Key, key_getter
from atlas_projection.fold import NO_SEQUENCE, NO_VERSION, Folded, fold
from atlas_projection.given import Given, event, given
from atlas_projection.projection import Projection, Rejected, Row, Value
from atlas_projection.waiting import Waiting
from atlas_readmodel.table import Table
from atlas_yards.projection import YARDS
from hypothesis import given as over
from hypothesis import strategies as st


def counted(row: Row | None, value: Value, _meta: Meta) -> Row | None:
    if value["n"] < 0:
        raise Rejected("negative")
    return {"id": value["id"], "total": (row["total"] if row else 0) + value["n"]}


def ended(_row: Row | None, _value: Value, _meta: Meta) -> Row | None:
    return None


def kept(row: Row | None, _value: Value, _meta: Meta) -> Row | None:
    return row


def broken(_row: Row | None, _value: Value, _meta: Meta) -> Row | None:
    raise KeyError("nonsense")


COUNTS = Projection(
    name="counts",
    version=1,
    topics=("counts.events",),
    table=Table(columns={"id": "text NOT NULL", "total": "bigint NOT NULL"}, key=("id",)),
    handlers={"c.Counted": counted, "c.Ended": ended, "c.Kept": kept, "c.Broken": broken},
)


def run(*events: tuple[str, Value], before: dict[Key, Row] | None = None) -> Folded:
    changes = [
        Change((value["id"],), COUNTS.handlers[kind], value, Meta("counts.events", 0, offset, 0, None, ()))
        for offset, (kind, value) in enumerate(events)
    ]
    return fold(COUNTS, changes, (before or {}).get, Waiting(ordered=True))


def test_events_of_a_key_are_folded_in_order_into_one_row() -> None:
    folded = run(
        ("c.Counted", {"id": "a", "n": 1}), ("c.Counted", {"id": "b", "n": 5}), ("c.Counted", {"id": "a", "n": 2})
    )
    assert folded.rows == {("a",): {"id": "a", "total": 3, "_offset": 2}, ("b",): {"id": "b", "total": 5, "_offset": 1}}
    assert folded.applied == 3


def test_a_row_can_end_and_begin_again() -> None:
    before = {("a",): {"id": "a", "total": 9}}
    assert run(("c.Ended", {"id": "a"}), before=before).rows == {("a",): None}
    again = run(("c.Ended", {"id": "a"}), ("c.Counted", {"id": "a", "n": 1}), before=before)
    assert again.rows == {("a",): {"id": "a", "total": 1, "_offset": 1}}


def test_the_same_row_is_no_change() -> None:
    assert run(("c.Kept", {"id": "a"}), before={("a",): {"id": "a", "total": 9}}).rows == {}


def test_a_rejected_event_changes_nothing_and_stops_nothing() -> None:
    folded = run(("c.Counted", {"id": "a", "n": -1}), ("c.Counted", {"id": "a", "n": 2}))
    assert folded.rows[("a",)] == {"id": "a", "total": 2, "_offset": 1}
    assert [(meta.offset, reason) for meta, reason in folded.rejected] == [(0, "negative")]


def test_whatever_a_handler_raises_is_the_fate_of_its_record_alone() -> None:
    folded = run(("c.Broken", {"id": "a"}), ("c.Counted", {"id": "b", "n": 2}))
    assert list(folded.rows) == [("b",)]
    assert [reason for _meta, reason in folded.rejected] == ["its handler failed: KeyError: 'nonsense'"]


@pytest.mark.parametrize("answer", [["a"], "row", 7, (), object()])
@pytest.mark.parametrize("versioned", [None, "total"])
def test_what_is_no_row_is_the_fate_of_its_record_alone(answer: Any, versioned: str | None) -> None:
    odd = replace(COUNTS, versioned=versioned, handlers={**COUNTS.handlers, "c.Broken": lambda *_: answer})
    changes = [
        Change((key,), odd.handlers[kind], {"id": key, "n": 1}, Meta("c", 0, n, 0, None, [("ce_sequence", b"1")]))
        for n, (key, kind) in enumerate([("a", "c.Broken"), ("b", "c.Counted")])
    ]
    folded = fold(odd, changes, lambda _: None, Waiting(ordered=True))
    assert list(folded.rows) == [("b",)]
    ((_, reason),) = folded.rejected
    assert reason.startswith("its handler returned no row, expected a dict or None")


def test_memory_that_is_gone_is_nobodys_fault() -> None:
    def greedy(*_: Any) -> Row:
        raise MemoryError

    with pytest.raises(MemoryError):
        fold(COUNTS, [Change(("a",), greedy, {}, Meta("c", 0, 0, 0, None, ()))], lambda _: None, Waiting(ordered=True))


@pytest.mark.parametrize("sequence", [None, b"", b"x", b"9" * 5000, b"-1", b"1.5", b"2147483648", b"%d" % (2**63 - 1)])
def test_what_is_no_part_of_an_entitys_history_holds_nobody_back(sequence: bytes | None) -> None:
    headers = [] if sequence is None else [("ce_sequence", sequence)]
    forged = Meta("yards.events", 0, 0, 0, b"u1", headers)
    held = Waiting(ordered=True, last_version=YARDS.last_version)
    value = {"yard_id": "u1", "email": "a", "display_name": "a", "country": None, "registered_at": 1}
    register = YARDS.handlers["yards.YardRegistered"]
    true = Meta("yards.events", 0, 1, 0, b"u1", [("ce_sequence", b"1")])
    folded = fold(YARDS, [Change(("u1",), register, value, each) for each in (forged, true)], lambda _: None, held)
    (rejected,) = folded.rejected
    said = NO_SEQUENCE if forged.sequence is None else NO_VERSION.format(found=forged.sequence, last=2**31 - 1)
    assert (rejected[0].offset, rejected[1]) == (0, said)
    assert folded.rows[("u1",)] == value | {"status": "active", "updated_at": 1, "_offset": 1, "version": 1}
    assert not held.blocked


def test_rows_before_are_not_changed_in_place() -> None:
    row = {"id": "a", "total": 9}
    run(("c.Counted", {"id": "a", "n": 1}), before={("a",): row})
    assert row == {"id": "a", "total": 9}


def test_keys_in_the_order_of_the_table() -> None:
    meta = Meta("t", 3, 0, 0, None, ())
    assert key_getter(COUNTS)({"id": "a"}, meta) == ("a",)
    assert key_getter(ROUTES)({"origin": "EWR", "destination": "IAH"}, meta) == ("EWR", "IAH", 3)


def yards_event(draw: Any, versions: dict[str, int]) -> Given:
    yard = draw(st.sampled_from(["u1", "u2", "u3"]))
    kind = draw(st.sampled_from(["yards.YardRegistered", "yards.YardProfileChanged", "yards.YardDeactivated"]))
    step = draw(st.sampled_from([-1, 0, 1, 1, 1, 2]))
    versions[yard] = max(1, versions.get(yard, 0) + step)
    text = draw(st.text(max_size=3))
    return event(
        kind,
        sequence=versions[yard],
        yard_id=yard,
        email=text,
        display_name=text,
        country=None,
        registered_at=draw(st.integers(0, 9)),
        changed_at=draw(st.integers(0, 9)),
        deactivated_at=draw(st.integers(0, 9)),
    )


@st.composite
def yards_history(draw: Any) -> list[Given]:
    versions: dict[str, int] = {}
    return [yards_event(draw, versions) for _ in range(draw(st.integers(0, 25)))]


@st.composite
def hauls_history(draw: Any) -> list[Given]:
    return [
        event(
            draw(st.sampled_from(["hauls.HaulDeparted", "hauls.HaulCancelled"])),
            partition=draw(st.integers(0, 2)),
            origin=draw(st.sampled_from(["EWR", "JFK"])),
            destination=draw(st.sampled_from(["IAH", "MIA"])),
            departure_delay_minutes=draw(st.integers(-20, 900)),
            arrival_delay_minutes=draw(st.none() | st.integers(-20, 900)),
        )
        for _ in range(draw(st.integers(0, 25)))
    ]


@over(history=yards_history(), cuts=st.sets(st.integers(0, 25)))
def test_any_split_of_yards_events_into_batches_gives_the_same_rows(history: list[Given], cuts: set[int]) -> None:
    _check_splits(YARDS, history, cuts)


@over(history=hauls_history(), cuts=st.sets(st.integers(0, 25)))
def test_any_split_of_hauls_into_batches_gives_the_same_routes(history: list[Given], cuts: set[int]) -> None:
    _check_splits(ROUTES, history, cuts)


def _check_splits(projection: Projection, history: list[Given], cuts: set[int]) -> None:
    whole, split = given(projection).events(*history), given(projection)
    edges = [0, *sorted(cut for cut in cuts if cut < len(history)), len(history)]
    for start, end in itertools.pairwise(edges):
        split.events(*history[start:end])
    assert split.rows == whole.rows
    assert (split.rejected, split.repeated, split.missing) == (whole.rejected, whole.repeated, whole.missing)
