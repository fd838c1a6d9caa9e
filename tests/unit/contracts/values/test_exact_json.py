"""JSON with exact numbers takes what orjson takes, and no number by way of a float."""

import json
import time
from decimal import Decimal
from typing import Any

import orjson
import pytest
from atlas_contracts.values.exact_json import NUMBER_MAX, parse
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(JSON)
def test_what_holds_no_fraction_is_read_as_orjson_reads_it(value: Any) -> None:
    data = orjson.dumps(value)
    assert parse(data) == orjson.loads(data) == value


@given(st.binary() | st.text(alphabet='[]{}",:0123456789.eE+-truefalsn \\u\n').map(str.encode))
def test_what_is_refused_is_what_orjson_refuses(data: bytes) -> None:
    try:
        value = parse(data)
    except ValueError:
        with pytest.raises(ValueError, match=r".+"):
            orjson.loads(data)
        return
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        text = json.dumps(value, default=str)
        assert "\\ud" in text or any(mark in data for mark in b"eE"), "half of a surrogate, or out of a float's range"


@pytest.mark.parametrize("sign", ["-", "+", ""])
def test_an_exponent_beyond_python_is_refused_and_no_zero(sign: str) -> None:
    with pytest.raises(ValueError, match="exponent"):
        parse(f"1e{sign}{'1' * 19}")
    assert parse(f"1e{sign}{'0' * 30}2") == Decimal(f"1e{sign}2")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"12.10", Decimal("12.10")),
        (b"0.1", Decimal("0.1")),
        (b"1e2", Decimal("1E+2")),
        (b"-0.0", Decimal("-0.0")),
        (b"1e999999999", Decimal("1E+999999999")),
        (b"123456789012345678901234567890.5", Decimal("123456789012345678901234567890.5")),
        (b"18446744073709551617", 2**64 + 1),
        (b"9" * NUMBER_MAX, 10**NUMBER_MAX - 1),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"\\ud800"', "\ud800"),
    ],
)
def test_numbers_are_as_they_were_written(data: bytes, value: Any) -> None:
    found = parse(data)
    assert found == value
    assert str(found) == str(value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"NaN", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"\xff", "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "Expecting value"),
        (b"1" * (NUMBER_MAX + 1), f"expected at most {NUMBER_MAX}"),
        (b"[1." + b"0" * 1_000_000 + b"]", f"expected at most {NUMBER_MAX}"),
        (b"1e" + b"9" * 30, "exponent"),
        (b"[" * 100_000, "nested too deep"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
        (b"01", "Extra data"),
        (b'"\n"', "control character"),
    ],
)
def test_what_is_refused_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        parse(data)
    assert len(str(raised.value)) < 200


def test_a_megabyte_of_digits_costs_little() -> None:
    started = time.process_time()
    for data in (b"9" * 2**20, b"[" + b"9" * NUMBER_MAX + b"," + b"1." + b"9" * 2**20 + b"]"):
        with pytest.raises(ValueError, match="characters"):
            parse(data)
    assert time.process_time() - started < 1
