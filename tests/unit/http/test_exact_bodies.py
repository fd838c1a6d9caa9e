"""Bodies of commands with values that JSON has as text, or as numbers that no float holds."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from atlas_http.bodies import Body
from atlas_http.exact_bodies import as_model
from atlas_http.problems import of_validation
from atlas_yards.bodies import RegisterYard
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError


class Line(Body):
    amount: Decimal | None = None


class Order(Body):
    """A field of each."""

    price: Decimal
    day: date | None = None
    at: datetime | None = None
    uid: UUID | None = None
    count: int = 0
    ratio: float = 0.0
    lines: tuple[Line, ...] = ()


class Plain(Body):
    ratio: float
    day: date


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_a_decimal_is_read_exactly_as_a_number_and_as_text(value: Decimal) -> None:
    for written in (f"{value:f}", f'"{value:f}"'):
        order = as_model(f'{{"price": {written}, "lines": [{{"amount": {written}}}]}}'.encode(), Order)
        assert order.price == order.lines[0].amount == value


def test_texts_of_the_other_types() -> None:
    body = orjson.dumps(
        {"price": "1", "day": "2024-02-29", "at": "2024-01-01T05:30:00+05:30", "uid": str(UUID(int=1)), "ratio": 0.1}
    )
    order = as_model(body, Order)
    assert (order.day, order.at, order.uid) == (date(2024, 2, 29), datetime(2024, 1, 1, tzinfo=UTC), UUID(int=1))
    assert order.ratio == 0.1
    assert as_model(b'{"ratio": 0.10000000000000001, "day": "2024-02-29"}', Plain).ratio == 0.1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"price": "x"}, "/price"),
        ({"price": True}, "/price"),
        ({"price": "NaN"}, "/price"),
        ({"price": 1, "day": "2023-02-29"}, "/day"),
        ({"price": 1, "day": 5}, "/day"),
        ({"price": 1, "uid": "nope"}, "/uid"),
        ({"price": 1, "count": "1"}, "/count"),
        ({"price": 1, "count": 1.0}, "/count"),
        ({"price": 1, "lines": [{"amount": []}]}, "/lines/0/amount"),
        ([1], ""),
    ],
)
def test_what_is_wrong_is_named(body: Any, path: str) -> None:
    with pytest.raises(ValidationError) as raised:
        as_model(orjson.dumps(body), Order)
    assert {error["path"].split("/function")[0] for error in of_validation(raised.value, Order)} == {path}


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"digits|characters"):
        as_model(b'{"price": ' + b"1" * 3000 + b"}", Order)


@pytest.mark.parametrize("model", [Order, RegisterYard])
@pytest.mark.parametrize("depth", [100, 230, 300, 600, 1000])
def test_what_is_nested_deeper_than_a_model_is_refused(model: type[Body], depth: int) -> None:
    with pytest.raises(ValueError, match=r"validation error|nested too deep"):
        as_model(b'{"x": ' + b"[" * depth + b"]" * depth + b"}", model)
