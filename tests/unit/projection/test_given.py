"""The helper must be able to say no."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from atlas_hauls.projections.hauls import HAULS
from atlas_projection.given import Given, event, given
from atlas_projection.projection import Projection
from atlas_readmodel.documents import Documents
from atlas_readmodel.table import Table
from atlas_yards.projection import YARDS

REGISTERED = event(
    "yards.YardRegistered",
    sequence=1,
    yard_id="u1",
    email="a@x",
    display_name="A",
    country=None,
    registered_at=5,
)


def test_a_wrong_expectation_fails() -> None:
    with pytest.raises(AssertionError, match="b@x"):
        given(YARDS).when(REGISTERED).then({"email": "b@x"})


def test_a_row_that_should_not_be_there_fails() -> None:
    with pytest.raises(AssertionError, match="expected None"):
        given(YARDS).when(REGISTERED).then(None)


def test_a_row_that_should_be_there_fails() -> None:
    with pytest.raises(AssertionError, match="the row is None"):
        given(YARDS).when(REGISTERED).then({"email": "a@x"}, "u2")


def test_with_several_rows_one_has_to_be_named() -> None:
    other = replace(REGISTERED, value=REGISTERED.value | {"yard_id": "u2"})
    with pytest.raises(AssertionError, match="say which row"):
        given(YARDS).when(REGISTERED, other).then({"email": "a@x"})


def test_types_without_a_handler_are_passed_over() -> None:
    assert given(HAULS).when(REGISTERED).rows == {}


SALES = Projection(
    name="sales",
    version=1,
    topics=("t",),
    table=Table({"uid": "uuid NOT NULL", "day": "date NOT NULL", "sum": "numeric(6,2)"}, ("uid", "day")),
    handlers={"shop.Sold": lambda row, event, _: {**event, "sum": (row["sum"] if row else 0) + event["sum"]}},
)
UID = "0190F3C4-0000-7000-8000-000000000ABC"


def sold(amount: Any, day: Any = 19_782, uid: Any = UID) -> Given:
    return event("shop.Sold", uid=uid, day=day, sum=amount)


def test_a_row_is_found_by_its_key_in_whatever_form_and_holds_one() -> None:
    sales = given(SALES).events(sold(Decimal("0.1")), sold(1, date(2024, 2, 29), UUID(UID)), sold(2, uid=UID.lower()))
    assert list(sales.rows) == [(UID.lower(), date(2024, 2, 29))]
    sales.then({"sum": Decimal("3.10"), "day": 19_782, "uid": UUID(UID)}, UID, 19_782)
    assert repr(sales.row()) == repr({"uid": UID.lower(), "day": date(2024, 2, 29), "sum": Decimal("3.10")})
    with pytest.raises(AssertionError, match=r"Decimal\('3.11'\)"):
        sales.then({"sum": Decimal("3.11")})


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (sold(Decimal("0.001")), "column sum: more than 2 digits behind the point"),
        (sold(10_000), "column sum: more than 6 digits"),
        (sold(0.5), "column sum: expected Decimal"),
        (sold(1, "2024-02-29"), "column day: expected a date or days"),
        (sold(1, 19_782, "nope"), "column uid: expected a UUID"),
    ],
)
def test_what_a_column_can_not_hold_is_rejected_as_live(bad: Given, reason: str) -> None:
    (said,) = given(SALES).events(bad).rejected
    assert reason in said
    assert "found " in said


def test_a_document_has_what_an_event_brings_as_json_has_it() -> None:
    board = replace(SALES, table=Documents(("uid",)), handlers={"shop.Sold": lambda _row, event, _meta: event})
    given(board).events(sold([Decimal("1.50"), b"\xff", float("nan")])).then({"sum": ["1.50", "ÿ", "NaN"]})
    own = replace(board, handlers={"shop.Sold": lambda _row, event, _meta: {**event, "at": date(2024, 1, 1)}})
    (said,) = given(own).events(sold(1)).rejected
    assert said.startswith("field at: ")


def test_a_number_that_is_none_can_be_expected() -> None:
    table = Table({"id": "text NOT NULL", "n": "double precision"}, ("id",))
    ratio = replace(SALES, table=table, handlers={"shop.Sold": lambda _row, event, _meta: event})
    given(ratio).events(event("shop.Sold", id="a", n=float("nan"))).then({"n": float("nan")})
