"""Values of rows as JSON has them."""

import enum
import json
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from atlas_avro.durations import Duration
from atlas_readmodel.columns.json_rows import dumps, plain, plain_row
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.readmodel.edge_values import TAKEN, held

VALUES = [held(pair) for pairs in TAKEN.values() for pair in pairs]


class Word(enum.StrEnum):
    ONE = "one"


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (Decimal("1.50"), "1.50"),
        (Decimal("-0.00"), "-0.00"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("9" * 38), "9" * 38),
        (Decimal("NaN"), "NaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (0.1, 0.1),
        (date(1, 1, 1), "0001-01-01"),
        (date(9999, 12, 31), "9999-12-31"),
        (time(10, 15), "10:15:00.000000"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(2024, 1, 1, 5, 30, 0, 1, tzinfo=timezone(timedelta(hours=5.5))), "2024-01-01T00:00:00.000001Z"),
        (datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None), "2024-01-01T00:00:00.000000"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\xff", "\x00ÿ"),
        (Duration(1, 2, 3004), "P1M2DT3.004S"),
        (ip_address("192.0.2.1"), "192.0.2.1"),
        (ip_interface("2001:db8::1/64"), "2001:db8::1/64"),
        (Word.ONE, "one"),
        ((1, [Decimal(1)], {"a": date(2024, 2, 29)}), [1, ["1"], {"a": "2024-02-29"}]),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
    ],
)
def test_the_form_of_each_type(value: Any, form: Any) -> None:
    assert plain(value) == form
    assert type(plain(value)) is type(form)


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, timedelta(1), 1j, [object()], [{"a": object}]])
def test_what_has_no_form_is_said(value: Any) -> None:
    with pytest.raises(TypeError, match=r"JSON has no form of|a name in JSON is text"):
        plain(value)


def test_what_was_not_made_plain_is_not_written() -> None:
    for value in (date(2024, 1, 1), datetime.now(UTC), Decimal(1), b"a", Duration(1, 2, 3)):
        with pytest.raises(TypeError, match="not JSON serializable"):
            dumps([value])


@pytest.mark.parametrize("value", VALUES)
def test_whatever_a_column_holds_is_json_that_says_the_same_twice(value: Any) -> None:
    form = plain(value)

    def refuse(name: str) -> Any:
        raise AssertionError(name)

    assert json.loads(dumps(form), parse_constant=refuse) == form
    assert plain(form) == form
    assert dumps(plain_row({"a": value})) == dumps({"a": form})


@given(
    st.recursive(
        st.decimals()
        | st.floats()
        | st.dates()
        | st.uuids()
        | st.binary()
        | st.integers(-(2**63), 2**64 - 1)
        | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=8,
    )
)
def test_any_of_them_in_each_other_is_json(value: Any) -> None:
    assert json.loads(dumps(plain(value))) == plain(value)
