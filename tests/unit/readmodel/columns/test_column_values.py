"""What a row holds of what a handler hands over, and what is refused; that PostgreSQL agrees is an integration test."""

from typing import Any

import pytest
from atlas_readmodel.columns.column_types import column_type
from atlas_readmodel.columns.row_check import row_taker
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.readmodel.edge_values import REFUSED, TAKEN, held

ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-720_000, 3_000_000),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.decimals(),
    st.decimals(places=2, min_value=-1000, max_value=1000),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.uuids(),
    st.uuids().map(str),
    st.ip_addresses(),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.floats(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=6,
    ),
)


def same(one: Any, other: Any) -> bool:
    """Equal and of the same type, also where a number is not itself."""
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.parametrize(("declared", "pair"), [(name, pair) for name, pairs in TAKEN.items() for pair in pairs])
def test_what_is_taken_is_held_in_one_form_that_is_taken_again(declared: str, pair: tuple[Any, Any]) -> None:
    column = column_type(declared)
    assert column.check(pair[0]) is None
    take = column.take or (lambda value: value)
    assert same(take(pair[0]), held(pair))
    assert same(take(held(pair)), held(pair))


@pytest.mark.parametrize(
    ("declared", "at"), [(name, at) for name, values in REFUSED.items() for at in range(len(values))]
)
def test_what_is_refused_is_said(declared: str, at: int) -> None:
    value = REFUSED[declared][at]
    column = column_type(declared)
    assert column.check(value)
    if column.take is not None:
        with pytest.raises((ValueError, RecursionError)):
            column.take(value)
        taker = row_taker({"c": column})
        assert taker is not None
        with pytest.raises(ValueError, match=r"^column c: .+, found ") as raised:
            taker({"c": value})
        assert len(str(raised.value)) < 400


@given(declared=st.sampled_from([*TAKEN, *(f"{name}[]" for name in TAKEN if name != "jsonb")]), value=ANY)
def test_any_value_is_held_or_refused_and_what_is_held_stays(declared: str, value: Any) -> None:
    taker = row_taker({"c": column_type(declared)})
    if taker is None:
        return
    before = repr(value)
    try:
        row = taker({"c": value})
    except ValueError:
        return
    assert same(taker(row)["c"], row["c"])
    assert repr(value) == before, "a handler's own value is left as it is"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("abc", "expected a list"),
        ([[]], "an empty list in a list"),
        ([[1], []], "an empty list in a list"),
        ([[1], [1, 2]], "different lengths"),
        ([[[1]], [[1, 2]]], "different lengths"),
        ([1, [2]], "expected a list"),
        ([[1], None], "expected a list"),
        ([[[[[[[1]]]]]]], "more than 6 lists"),
        ([2**31], "out of range"),
    ],
)
def test_lists_are_those_that_an_array_can_be(value: Any, reason: str) -> None:
    said = column_type("integer[]").check(value)
    assert said is not None
    assert reason in said


def test_lists_within_lists_with_nulls_are_held() -> None:
    take = column_type("integer[][]").take
    assert take is not None
    assert take(([1, None], (None, 2))) == [[1, None], [None, 2]]
    assert take(()) == []
    assert take([[[[[[1]]]]]]) == [[[[[[1]]]]]]


def test_a_row_without_such_columns_is_looked_at_by_nobody() -> None:
    plain = {name: column_type(name) for name in ("text", "integer", "bigint", "boolean", "bytea", "varchar")}
    assert row_taker(plain) is None
