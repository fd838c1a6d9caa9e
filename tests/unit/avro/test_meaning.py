"""The edges of each type: what is taken, what it becomes, what is refused and why."""

import math
import struct
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from atlas_avro.durations import Duration

from tests.unit.avro.definitions import (
    DATE,
    DURATION,
    FIXED,
    LOCAL_MS,
    LOCAL_NS,
    LOCAL_US,
    MICROS,
    MILLIS,
    MS,
    NS,
    TIME_MS,
    TIME_US,
    US,
    UUID,
    UUID_FIXED,
    YEAR_1,
    YEAR_10000,
    decimal,
    of,
    python,
)


def shown(value: Any) -> str:
    return "a huge number" if isinstance(value, int) and value.bit_length() > 100 else str(value)[:40]


EDGES: list[tuple[Any, Any, Any, Any]] = [  # definition, JSON, base, what is given back
    (decimal(12, 2), "12.34", b"\x04\xd2", "12.34"),
    (decimal(12, 2), Decimal("12.34"), b"\x04\xd2", "12.34"),
    (decimal(12, 2), 12, b"\x04\xb0", "12.00"),
    (decimal(12, 2), "0", b"\x00", "0.00"),
    (decimal(12, 2), "-0.00", b"\x00", "0.00"),
    (decimal(12, 2), "-0.01", b"\xff", "-0.01"),
    (decimal(12, 2), "1.50000", b"\x00\x96", "1.50"),
    (decimal(12, 2), "1.28", b"\x00\x80", "1.28"),
    (decimal(12, 2), "-1.28", b"\x80", "-1.28"),
    (decimal(12, 2), "1e2", b"\x27\x10", "100.00"),
    (decimal(12, 2), Decimal("1E+2"), b"\x27\x10", "100.00"),
    (decimal(12, 2), "9999999999.99", (10**12 - 1).to_bytes(6, "big"), "9999999999.99"),
    (decimal(38), "9" * 38, (10**38 - 1).to_bytes(16, "big"), "9" * 38),
    (decimal(38), "-" + "9" * 38, (-(10**38) + 1).to_bytes(16, "big", signed=True), "-" + "9" * 38),
    (decimal(38, 38), "0." + "9" * 38, (10**38 - 1).to_bytes(16, "big"), "0." + "9" * 38),
    (decimal(9, 2, 4), "-1.00", b"\xff\xff\xff\x9c", "-1.00"),
    (decimal(9, 2, 4), "9999999.99", (10**9 - 1).to_bytes(4, "big"), "9999999.99"),
    (DATE, "1970-01-01", 0, "1970-01-01"),
    (DATE, "0001-01-01", -719_162, "0001-01-01"),
    (DATE, "9999-12-31", 2_932_896, "9999-12-31"),
    (DATE, "2024-02-29", 19_782, "2024-02-29"),
    (DATE, "2000-02-29", 11_016, "2000-02-29"),
    (DATE, -1, -1, "1969-12-31"),
    (TIME_MS, "00:00:00", 0, "00:00:00.000"),
    (TIME_MS, "23:59:59.999", 86_399_999, "23:59:59.999"),
    (TIME_MS, "10:15:00.2500", 36_900_250, "10:15:00.250"),
    (TIME_US, "23:59:59.999999", 86_399_999_999, "23:59:59.999999"),
    (MS, "1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"),
    (MS, "1969-12-31T23:59:59.999Z", -1, "1969-12-31T23:59:59.999Z"),
    (MS, "0001-01-01T00:00:00Z", YEAR_1 * MILLIS, "0001-01-01T00:00:00.000Z"),
    (MS, "9999-12-31T23:59:59.999Z", YEAR_10000 * MILLIS - 1, "9999-12-31T23:59:59.999Z"),
    (MS, "2024-01-01t05:30:00+05:30", 1_704_067_200_000, "2024-01-01T00:00:00.000Z"),
    (MS, "2023-12-31 14:30:00-09:30", 1_704_067_200_000, "2024-01-01T00:00:00.000Z"),
    (MS, "2024-02-29T10:15:00.25Z", 1_709_201_700_250, "2024-02-29T10:15:00.250Z"),
    (US, "2024-01-01T00:00:00.123456Z", 1_704_067_200_123_456, "2024-01-01T00:00:00.123456Z"),
    (US, "9999-12-31T23:59:59.999999Z", YEAR_10000 * MICROS - 1, "9999-12-31T23:59:59.999999Z"),
    (NS, "2024-01-01T00:00:00.123456789Z", 1_704_067_200_123_456_789, "2024-01-01T00:00:00.123456789Z"),
    (NS, "1969-12-31T23:59:59.999999999Z", -1, "1969-12-31T23:59:59.999999999Z"),
    (NS, "2262-04-11T23:47:16.854775807Z", 2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
    (NS, "1677-09-21T00:12:43.145224192Z", -(2**63), "1677-09-21T00:12:43.145224192Z"),
    (LOCAL_MS, "1970-01-01T00:00:00", 0, "1970-01-01T00:00:00.000"),
    (LOCAL_US, "0001-01-01T00:00:00", YEAR_1 * MICROS, "0001-01-01T00:00:00.000000"),
    (LOCAL_NS, "2024-02-29T10:15:00.000000001", 1_709_201_700_000_000_001, "2024-02-29T10:15:00.000000001"),
    (UUID, "0F8FAD5B-D9CB-469F-A165-70867728950E", "0f8fad5b-d9cb-469f-a165-70867728950e",
     "0f8fad5b-d9cb-469f-a165-70867728950e"),
    (UUID_FIXED, "00000000-0000-0000-0000-000000000000", bytes(16), "00000000-0000-0000-0000-000000000000"),
    (UUID_FIXED, "ffffffff-ffff-ffff-ffff-ffffffffffff", b"\xff" * 16, "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    (DURATION, "P1M2DT3.004S", b"\1\0\0\0\2\0\0\0\xbc\x0b\0\0", "P1M2DT3.004S"),
    (DURATION, "PT0S", bytes(12), "P0M0DT0.000S"),
    (DURATION, "P1Y2M3W4DT5H6M7.8S", struct.pack("<III", 14, 25, 18_367_800), "P14M25DT18367.800S"),
    (DURATION, "P4294967295M4294967295DT4294967.295S", b"\xff" * 12, "P4294967295M4294967295DT4294967.295S"),
    ("bytes", "", b"", ""),
    ("bytes", "\u00ff" * 10**6, b"\xff" * 10**6, "\u00ff" * 10**6),
    ("string", "x" * 10**6, "x" * 10**6, "x" * 10**6),
    ("string", "🛫" * 10**5, "🛫" * 10**5, "🛫" * 10**5),
    ("long", 2**63 - 1, 2**63 - 1, 2**63 - 1),
    ("long", 2**53 + 1, 2**53 + 1, 2**53 + 1),
    ("double", Decimal("0.1"), 0.1, 0.1),
    ("float", 3.4028234663852886e38, 3.4028234663852886e38, 3.4028234663852886e38),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "json", "made", "back"), EDGES, ids=shown)
def test_the_edges_of_each_type(definition: Any, json: Any, made: Any, back: Any) -> None:
    found = of(definition)
    assert found.parse(json) == made
    assert type(found.parse(json)) is type(made)
    assert found.render(python(definition, made)) == back


REFUSED: list[tuple[Any, Any, str]] = [  # definition, JSON, the reason
    (decimal(12, 2), "12.345", "more than 2 digits behind the point"),
    (decimal(12, 2), "99999999999.99", "more than 12 digits"),
    (decimal(12, 2), 12.34, ""),  # a float has lost digits already
    (decimal(12, 2), True, ""),
    (decimal(12, 2), "", "not a decimal number"),
    (decimal(12, 2), "1,5", "not a decimal number"),
    (decimal(12, 2), "NaN", "not a decimal number"),
    (decimal(12, 2), "Infinity", "not a decimal number"),
    (decimal(12, 2), " 1", "not a decimal number"),
    (decimal(12, 2), "\u0661", "not a decimal number"),
    (decimal(12, 2), "1_000", "not a decimal number"),
    (decimal(12, 2), Decimal("NaN"), "not a finite number"),
    (decimal(12, 2), Decimal("-Infinity"), "not a finite number"),
    (decimal(12, 2), "1e999999999", "not a decimal number"),
    (decimal(12, 2), Decimal("1e999999999"), "more than 12 digits"),
    (decimal(12, 2), Decimal("1e-999999999"), "more than 2 digits behind the point"),
    (decimal(12, 2), "1" * 1_000_000, "not a decimal number"),
    (decimal(12, 2), 10**100_000, "more than 12 digits"),
    (decimal(38), "1" + "0" * 38, "more than 38 digits"),
    (decimal(38, 38), "1", "more than 38 digits"),
    (decimal(9, 2, 4), "10000000.00", "more than 9 digits"),
    (DATE, "2023-02-29", "day is out of range"),
    (DATE, "1900-02-29", "day is out of range"),
    (DATE, "0000-01-01", "year 0 is out of range"),
    (DATE, "10000-01-01", "not a date"),
    (DATE, "20240229", "not a date"),
    (DATE, "2024-W01-1", "not a date"),
    (DATE, "2024-02-29T00:00:00Z", "not a date"),
    (DATE, 2_932_897, ""),
    (DATE, -719_163, ""),
    (DATE, 1.0, ""),
    (TIME_MS, "24:00:00", "hour must be"),
    (TIME_MS, "23:59:60", "second must be"),
    (TIME_MS, "10:15", "not a time"),
    (TIME_MS, "10:15:00Z", "not a time"),
    (TIME_MS, "10:15:00.0001", "more than 3 digits"),
    (TIME_US, 86_400_000_000, ""),
    (TIME_US, -1, ""),
    (MS, "2024-01-01T00:00:00.123456Z", "more than 3 digits"),
    (US, "2024-01-01T00:00:00.123456789Z", "more than 6 digits"),
    (NS, "2024-01-01T00:00:00.1234567891Z", "more than 9 digits"),
    (NS, "2262-04-11T23:47:16.854775808Z", "outside the years"),
    (NS, "1600-01-01T00:00:00Z", "outside the years"),
    (MS, "2024-01-01T00:00:00", "with an offset"),
    (MS, "0001-01-01T00:00:00+00:01", "outside the years"),
    (MS, "9999-12-31T23:59:59.999-00:01", "outside the years"),
    (MS, "2024-01-01T00:00:00+24:00", "offset"),
    (MS, "2024-01-01T00:00:00." + "0" * 1_000_000 + "Z", "more than 3 digits"),
    (MS, YEAR_10000 * MILLIS, ""),
    (LOCAL_MS, "2024-01-01T00:00:00Z", "without an offset"),
    (LOCAL_MS, "2024-02-30T00:00:00", "day is out of range"),
    (UUID, "nope", ""),
    (UUID, "0f8fad5bd9cb469fa16570867728950e", ""),
    (UUID, "{0f8fad5b-d9cb-469f-a165-70867728950e}", ""),
    (UUID_FIXED, "\u0000" * 16, ""),
    (DURATION, "P", "not a duration"),
    (DURATION, "PT", "not a duration"),
    (DURATION, "-P1D", "not a duration"),
    (DURATION, "PT0.0001S", "not a duration"),
    (DURATION, "P4294967296M", "months are not"),
    (DURATION, "PT4294967.296S", "milliseconds are not"),
    (DURATION, [1, 2, 3], ""),
    (FIXED, "ab", "2 bytes"),
    ("bytes", "€", "code point 255"),
    ("string", "\ud800", "surrogate"),
    ("double", math.nan, ""),
    ("double", Decimal("1e999999999"), ""),
    ("float", 3.5e38, ""),
    ("long", Decimal(1), ""),
    ("long", 2**63, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "json", "reason"),
    REFUSED,
    ids=shown,
)
def test_what_is_no_value_of_a_type_is_refused_with_the_reason(definition: Any, json: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason or r"^$") as raised:
        of(definition).parse(json)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("definition", "handed", "made"),
    [
        (decimal(12, 2), Decimal("1.5"), b"\x00\x96"),
        (decimal(12, 2), 1, b"\x64"),
        (DATE, date(2024, 2, 29), 19_782),
        (TIME_MS, time(10, 15, 0, 250_000), 36_900_250),
        (TIME_US, time.max, 86_399_999_999),
        (MS, datetime(2024, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))), 1_704_067_200_000),
        (US, datetime.max.replace(tzinfo=UTC), YEAR_10000 * MICROS - 1),
        (NS, datetime(2024, 1, 1, 0, 0, 0, 1, UTC), 1_704_067_200_000_001_000),
        (LOCAL_US, datetime(1, 1, 1), YEAR_1 * MICROS),  # noqa: DTZ001
        (UUID, uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (UUID_FIXED, uuid.UUID(int=1), bytes(15) + b"\1"),
        (UUID_FIXED, "00000000-0000-0000-0000-000000000001", bytes(15) + b"\1"),
        (DURATION, Duration(1, 2, 3004), b"\1\0\0\0\2\0\0\0\xbc\x0b\0\0"),
        ("double", math.inf, math.inf),
    ],
)
def test_code_may_hand_over_pythons_own_objects(definition: Any, handed: Any, made: Any) -> None:
    assert of(definition).check(handed) == made


@pytest.mark.parametrize(
    ("definition", "handed"),
    [
        (decimal(12, 2), "1.5"),
        (decimal(12, 2), 1.5),
        (decimal(12, 2), b"\x01"),
        (decimal(12, 2), Decimal("1." + "0" * 9999 + "1")),
        (decimal(12, 2), Decimal("0.001")),
        (decimal(12, 2), Decimal("1E-999999999999999999")),
        (decimal(12, 2), Decimal("1E+999999999999999999")),
        (DATE, datetime(2024, 2, 29, tzinfo=UTC)),
        (DATE, "2024-02-29"),
        (TIME_MS, time(1, 2, 3, 4)),
        (TIME_MS, time(1, tzinfo=UTC)),
        (MS, datetime(2024, 1, 1)),  # noqa: DTZ001
        (MS, datetime(2024, 1, 1, 0, 0, 0, 1, UTC)),
        (MS, datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))),
        (LOCAL_MS, datetime(2024, 1, 1, tzinfo=UTC)),
        (NS, datetime(9999, 1, 1, tzinfo=UTC)),
        (UUID, bytes(16)),
        (UUID_FIXED, bytes(16)),
        (DURATION, timedelta(1)),
        (DURATION, Duration(-1, 0, 0)),
        (DURATION, Duration(0, 2**32, 0)),
        (DURATION, Duration(True, 0, 0)),
    ],
)
def test_an_object_of_another_meaning_is_refused(definition: Any, handed: Any) -> None:
    found = of(definition)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - some without words
        found.check(handed)
    assert len(str(raised.value)) < 100
