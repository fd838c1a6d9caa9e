"""RFC 3339 and epoch milliseconds."""

import pytest
from atlas_contracts.values.timestamps import parse_rfc3339, rfc3339
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_there_and_back(epoch_ms: int) -> None:
    assert parse_rfc3339(rfc3339(epoch_ms)) == epoch_ms


@pytest.mark.parametrize(
    ("text", "epoch_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00.5Z", 500),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2013-01-01T10:15:00.123456789Z", 1_357_035_300_123),
    ],
)
def test_what_rfc_3339_allows_is_read(text: str, epoch_ms: int) -> None:
    assert parse_rfc3339(text) == epoch_ms


@pytest.mark.parametrize(
    "text",
    [
        "2013-01-01",
        "2013-01-01T10:15:00",
        "20130101T101500Z",
        "2013-W01-1T10:15:00Z",
        "2013-01-01T10:15Z",
        "2013-02-30T10:15:00Z",
        "2013-01-01T25:15:00Z",
        "1357035300000",
        "",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\u0662\u066013-01-01T10:15:00Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)


@pytest.mark.parametrize("epoch_ms", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_a_time_without_a_year_of_four_digits_is_refused(epoch_ms: int) -> None:
    with pytest.raises(ValueError, match="outside the years"):
        rfc3339(epoch_ms)
