"""Each scalar takes its own values and refuses what looks like them."""

import math
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from atlas_avro.table import meaning
from atlas_contracts.values.scalars import Faults, Form, describe, scalar

TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}


def checked(definition: Any, value: Any, json: Form) -> Any:
    found = meaning(definition)
    assert found is not None
    return scalar(definition, found)(value, json)


@pytest.mark.parametrize(
    ("kind", "value", "json"),
    [
        ("null", None, True),
        ("boolean", False, True),
        ("int", 2**31 - 1, True),
        ("int", -(2**31), True),
        ("long", 2**63 - 1, True),
        ("float", 1.5, True),
        ("double", 1e300, True),
        ("double", math.inf, False),
        ("string", "æøå 🛫", True),
        ("bytes", b"\xff", False),
    ],
)
def test_a_value_of_the_type_is_kept(kind: str, value: Any, json: bool) -> None:
    assert checked(kind, value, json) == value


@pytest.mark.parametrize(
    ("kind", "value", "json"),
    [
        ("null", 0, True),
        ("null", "", True),
        ("boolean", 1, True),
        ("boolean", "true", True),
        ("int", True, True),
        ("int", 1.0, True),
        ("int", 2**31, True),
        ("int", "1", True),
        ("long", -(2**63) - 1, True),
        ("long", False, False),
        ("float", 1e39, True),
        ("float", True, True),
        ("double", True, True),
        ("double", "1.0", True),
        ("double", math.nan, True),
        ("double", math.inf, True),
        ("double", 10**400, True),
        ("string", b"x", False),
        ("string", "\ud800", True),
        ("string", 5, True),
        ("bytes", "é", False),
        ("bytes", b"x", True),
        ("bytes", "€", True),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: Any, json: bool) -> None:
    with pytest.raises(Faults):
        checked(kind, value, json)


def test_a_whole_number_is_a_float_where_one_is_due() -> None:
    assert isinstance(checked("double", 3, True), float)


def test_bytes_come_from_json_as_text_of_code_points() -> None:
    assert checked("bytes", "\u0000\u00ff", True) == b"\x00\xff"


def test_a_timestamp_is_text_only_in_json() -> None:
    assert checked(TIMESTAMP, "1970-01-01T00:00:01Z", True) == 1000
    with pytest.raises(Faults):
        checked(TIMESTAMP, "1970-01-01T00:00:01Z", False)
    with pytest.raises(Faults):
        checked(TIMESTAMP, True, True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true (boolean)"),
        (7, "7 (integer)"),
        (10**30, f"{10**30} (integer)"),
        pytest.param(10**5000, "an integer of 16610 bits", id="a huge integer"),
        (1.5, "1.5 (number)"),
        (Decimal("1E+999999"), "1E+999999 (number)"),
        (date(2024, 2, 29), "datetime.date(2024, 2, 29) (date)"),
        ("a", '"a" (string)'),
        ("\ud800", "'\\ud800' (string)"),
        (b"\xff", "b'\\xff' (bytes)"),
        ([1, 2], "an array of 2"),
        ({}, "an object of 0"),
        ({1}, "{1} (set)"),
    ],
)
def test_what_was_found_is_described(value: object, text: str) -> None:
    assert describe(value) == text


def test_a_long_value_is_cut() -> None:
    assert len(describe("x" * 1_000_000)) < 60
