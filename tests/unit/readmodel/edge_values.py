"""For each type that a column may have: what a handler may hand over, and what its row holds; and what it may not."""

import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface
from typing import Any

from atlas_avro.durations import Duration

SAME: Any = object()
D = Decimal
_PAST, _FUTURE = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL = datetime(2024, 2, 29, 1, tzinfo=UTC).replace(tzinfo=None)
_INDIA = timezone(timedelta(hours=5, minutes=30))
_MILLION = "ä" * 524_288

# By type as declared: pairs of what is handed over and what is held; SAME where these are one.
TAKEN: dict[str, list[tuple[Any, Any]]] = {
    "text": [("", SAME), ("a\\,{}\"'\n\t \x01", SAME), ("日本\U0001f600", SAME), ("NULL", SAME), (_MILLION, SAME)],
    "varchar(3)": [("", SAME), ("abc", SAME), ("日本 ", SAME)],
    "varchar": [("abc", SAME)],
    "character varying(10)": [("abc", SAME)],
    "smallint": [(-(2**15), SAME), (2**15 - 1, SAME), (0, SAME)],
    "integer": [(-(2**31), SAME), (2**31 - 1, SAME)],
    "bigint": [(-(2**63), SAME), (2**63 - 1, SAME), (2**53 + 1, SAME)],
    "real": [
        (0.0, SAME),
        (-0.0, SAME),
        (0.1, 0.10000000149011612),
        (3.4028234663852886e38, SAME),
        (1e-45, 1.401298464324817e-45),
        (math.inf, SAME),
        (-math.inf, SAME),
        (math.nan, SAME),
        (7, 7.0),
    ],
    "double precision": [
        (0.1, SAME),
        (1.7976931348623157e308, SAME),
        (5e-324, SAME),
        (math.inf, SAME),
        (-math.inf, SAME),
        (math.nan, SAME),
        (2**53, float(2**53)),
        (-7, -7.0),
    ],
    "numeric": [
        (D("0"), SAME),
        (D("1.50"), SAME),
        (D("-0"), D("0")),
        (D("1E+3"), D("1000")),
        (10**4, D("10000")),
        ("12.340", D("12.340")),
        (D("NaN"), SAME),
        (D("Infinity"), SAME),
        (D("-Infinity"), SAME),
        (D("9" * 38), SAME),
        (D("1E-16383"), SAME),
        (D("1E+131071"), D("1" + "0" * 131_071)),
    ],
    "numeric(12,2)": [
        (D("1.2"), D("1.20")),
        (D("12.340"), D("12.34")),
        (D("-9999999999.99"), SAME),
        (5, D("5.00")),
        (D("0.00"), SAME),
        (D("NaN"), SAME),
        (D("-0.00"), D("0.00")),
    ],
    "numeric(38,10)": [(D("9" * 28 + "." + "9" * 10), SAME), (D("-" + "9" * 28 + "." + "9" * 10), SAME)],
    "numeric(5)": [(99999, D(99999)), (D("1E+4"), D(10000))],
    "numeric(2,-2)": [(9900, D(9900)), (D("-1E+2"), D(-100))],
    "numeric(1000,999)": [(D("9." + "9" * 999), SAME)],
    "boolean": [(True, SAME), (False, SAME)],
    "bytea": [(b"", SAME), (bytes(range(256)), SAME), (bytes(2**20), SAME)],
    "uuid": [
        ("0190F3C4-0000-7000-8000-000000000ABC", "0190f3c4-0000-7000-8000-000000000abc"),
        (uuid.UUID(int=0), str(uuid.UUID(int=0))),
        (uuid.UUID(int=2**128 - 1), str(uuid.UUID(int=2**128 - 1))),
    ],
    "date": [
        (date.min, SAME),
        (date.max, SAME),
        (date(2024, 2, 29), SAME),
        (0, date(1970, 1, 1)),
        (-719_162, date.min),
        (2_932_896, date.max),
    ],
    "time": [(time.min, SAME), (time.max, SAME), (time(10, 15, fold=1), time(10, 15))],
    "time(3)": [(time(23, 59, 59, 999_000), SAME)],
    "timestamp": [(_PAST.replace(tzinfo=None), SAME), (_FUTURE.replace(tzinfo=None), SAME), (_LOCAL, SAME)],
    "timestamp(0)": [(_LOCAL, SAME)],
    "timestamptz": [
        (_PAST, SAME),
        (_FUTURE, SAME),
        (datetime(2024, 1, 1, 5, 30, tzinfo=_INDIA), datetime(2024, 1, 1, tzinfo=UTC)),
    ],
    "timestamp(3) with time zone": [(datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), SAME)],
    "interval": [
        (Duration(0, 0, 0), SAME),
        (Duration(1, 30, 86_400_000), SAME),
        (Duration(2**31 - 1, 2**31 - 1, 2**32 - 1), SAME),
    ],
    "interval(3)": [(Duration(0, 0, 1), SAME)],
    "inet": [
        ("192.0.2.1", SAME),
        ("192.0.2.1/32", "192.0.2.1"),
        ("192.0.2.1/24", SAME),
        ("2001:DB8::1", "2001:db8::1"),
        ("::/0", SAME),
        (ip_address("::1"), "::1"),
        (ip_interface("10.1.2.3/8"), "10.1.2.3/8"),
    ],
    "jsonb": [
        ({}, SAME),
        ([], SAME),
        ([[], [None], {"a": []}], SAME),
        ({"b": 1, "aa": [True, None, "x"]}, SAME),
        ('{"a": [1.5e0]}', {"a": [1.5]}),
        ([2**63, -(2**63), 2**64 - 1, 2**53 + 1], SAME),
        ([1e300, 5e-324, 0.1, 1e22, -0.0], SAME),
        (7, SAME),
        (False, SAME),
        ("[]", []),
        (
            {"d": D("1.50"), "t": (1, 2), "b": b"\xff", "day": date(1, 1, 1)},
            {"d": "1.50", "t": [1, 2], "b": "ÿ", "day": "0001-01-01"},
        ),
        ({"": _MILLION}, SAME),
        ([math.nan, math.inf], ["NaN", "Infinity"]),
    ],
}

REFUSED: dict[str, list[Any]] = {
    "text": ["a\0", "\ud800", b"a", 1, ["a"], {}],
    "varchar(3)": ["abcd", "abc ", "a\0", 1],
    "smallint": [2**15, -(2**15) - 1, "1", [1]],
    "integer": [2**31, "1"],
    "bigint": [2**63, -(2**63) - 1, "1", 2**1000],
    "real": [1e39, "1", True, D(1), 10**400],
    "double precision": ["x", True, D("0.1"), 2**53 + 1, 10**400],
    "numeric": [0.1, "x", "NaN", True, D("sNaN"), D("1E+131072"), D("1E-16384"), 2**500_000, [1]],
    "numeric(12,2)": [D("1.234"), D("1E-30"), D("10000000000.00"), D("Infinity"), D("1E+999999"), 0.5, "1.234"],
    "numeric(2,-2)": [9950, 10000],
    "boolean": [1, "true", 0],
    "bytea": ["x", 1, [1]],
    "uuid": ["nope", "", 1, "0190f3c400007000800000000000abcd", "{0190f3c4-0000-7000-8000-000000000abc}", b"0" * 16],
    "date": [-719_163, 2_932_897, "2024-02-29", True, 1.0, _LOCAL, [1]],
    "time": [1, "10:15:00", time(1, tzinfo=UTC), _LOCAL],
    "time(3)": [time(0, 0, 0, 1)],
    "timestamp": [1_704_067_200_000, "2024-01-01T00:00:00", _PAST, date(2024, 1, 1)],
    "timestamp(0)": [_LOCAL.replace(microsecond=1)],
    "timestamptz": [
        1_704_067_200_000,
        "2024-01-01T00:00:00Z",
        _PAST.replace(tzinfo=None),
        date(2024, 1, 1),
        datetime(1, 1, 1, tzinfo=_INDIA),
    ],
    "interval": [timedelta(1), 1, "P1D", Duration(2**31, 0, 0), Duration(0, 2**31, 0), Duration(-1, 0, 0), (1, 2, 3)],
    "interval(0)": [Duration(0, 0, 1)],
    "inet": ["nope", "", 7, b"\0" * 4, "fe80::1%eth0", "192.0.2.1/33"],
    "jsonb": [
        "{",
        '"a"',
        "null",
        b"1",
        D(1),
        date(1, 1, 1),
        "x",
        '{"a": "\\u0000"}',
        {"a": "\0"},
        {"\0": 1},
        {1: 2},
        [2**64],
        "[1e400]",
        "[0.12345678901234567890]",
        object(),
        "\ud800",
        ["\udfff"],
        "[" * 100_000,
        "[" * 990 + "]" * 990 + "x",
        "[NaN]",
    ],
}


def held(pair: tuple[Any, Any]) -> Any:
    """What the row holds of a pair."""
    given, kept = pair
    return given if kept is SAME else kept
