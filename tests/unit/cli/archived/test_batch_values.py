"""Results in JSON's terms: of each engine's units the same text, nothing that JSON has no word for, and cut."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from atlas_cli.archived.batch_values import cut, rows_of


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (1_704_067_200_123, pa.timestamp("ms", "UTC"), "2024-01-01T00:00:00.123000Z"),
        (1_704_067_200_123_000, pa.timestamp("us", "UTC"), "2024-01-01T00:00:00.123000Z"),
        (1_704_067_200_123_000, pa.timestamp("us"), "2024-01-01T00:00:00.123000"),
        (-1, pa.timestamp("ns"), "1969-12-31T23:59:59.999999999"),
        (253_402_300_800_000, pa.timestamp("ms"), 253_402_300_800_000_000),
        (1000, pa.time64("ns"), "00:00:00.000001"),
        (1, pa.time64("us"), "00:00:00.000001"),
        (-1, pa.date32(), "1969-12-31"),
        (2**31 - 1, pa.date32(), 2**31 - 1),
        (Decimal("1E+3"), pa.decimal128(38, 2), "1000.00"),
        (float("nan"), pa.float64(), "nan"),
        (b"\xff", pa.binary(), "\xff"),
        ([{"a": [("k", 1)]}], pa.list_(pa.struct([("a", pa.map_(pa.string(), pa.int8()))])), [{"a": {"k": 1}}]),
        (None, pa.int64(), None),
    ],
)
def test_a_value(value: Any, kind: Any, found: Any) -> None:
    assert rows_of(pa.table({"v": pa.array([value], kind)})) == [{"v": found}]


def test_long_values_are_cut() -> None:
    assert cut("x" * 300_000, 3) == "xxx… (300,000 characters)"
    assert cut({"a": "x" * 20}, 5) == '{"a":… (28 characters)'
    assert (cut([1], 10), cut(10**30, 3), cut("xxx", 3)) == ([1], 10**30, "xxx")
