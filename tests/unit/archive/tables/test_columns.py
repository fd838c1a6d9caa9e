"""Columns: each type of the table at its edges, nested types, and the parts that become JSON text."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pyarrow
import pytest
from atlas_archive.format.records import Record
from atlas_archive.tables.columns import DEPTH_MAX, LEAVES_MAX, branch_names, columns_of
from atlas_archive.tables.parquet import table_of, write
from atlas_avro.durations import Duration
from atlas_avro.names import parse
from atlas_avro.table import LOGICAL

ODD = 2**62
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
DECIMAL = {"logicalType": "decimal", "precision": 38, "scale": 3}
LARGE = {"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 1}
MOST = Decimal("9" * 35 + ".999")
# Definition, values and what Parquet has for them (of times the number), values that have no place.
TYPES: list[tuple[Any, str, list[tuple[Any, Any]], list[Any]]] = [
    ("boolean", "bool", [(True, True)], []),
    ("int", "int32", [(-(2**31), -(2**31)), (2**31 - 1, 2**31 - 1)], []),
    ("long", "int64", [(-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1)], []),
    ("double", "double", [(0.1, 0.1), (float("inf"), float("inf"))], []),
    ("float", "float", [(0.5, 0.5)], []),
    ("string", "string", [("", ""), ("NUL \0", "NUL \0"), ("x" * 1_000_000, "x" * 1_000_000)], []),
    ("bytes", "binary", [(b"\xff", b"\xff")], []),
    ({"type": "fixed", "name": "F", "size": 2}, "binary", [(b"ab", b"ab")], []),
    ({"type": "bytes", **DECIMAL}, "decimal128(38, 3)", [(MOST, MOST), (MOST.copy_negate(),) * 2], [MOST * 10]),
    ({"type": "fixed", "name": "D", "size": 16, **DECIMAL}, "decimal128(38, 3)", [(Decimal("0.001"),) * 2], []),
    (LARGE, "string", [(Decimal("9" * 38 + ".9"), "9" * 38 + ".9")], [Decimal("1e39")]),
    ({"type": "string", "logicalType": "uuid"}, "string", [(UUID, UUID)], ["nope"]),
    ({"type": "int", "logicalType": "date"}, "date32[day]", [(-719_162,) * 2, (2_932_896,) * 2], [2_932_897, -719_163]),
    ({"type": "int", "logicalType": "time-millis"}, "time64[us]", [(86_399_999, 86_399_999_000)], [86_400_000, -1]),
    ({"type": "long", "logicalType": "time-micros"}, "time64[us]", [(86_399_999_999,) * 2], [86_400_000_000]),
    (
        {"type": "fixed", "name": "L", "size": 12, "logicalType": "duration"},
        "struct<months: int64, days: int64, milliseconds: int64>",
        [(Duration(2**32 - 1, 1, 2), {"months": 2**32 - 1, "days": 1, "milliseconds": 2})],
        [],
    ),
    *(
        (
            {"type": "long", "logicalType": f"{local}timestamp-{unit}"},
            f"timestamp[{short}{zone}]",
            [(least, least), (most, most), (-1, -1)],
            [most + 1, least - 1, ODD] if short != "ns" else [],
        )
        for local, zone in (("", ", tz=UTC"), ("local-", ""))
        for unit, short, least, most in (
            ("millis", "ms", -62_135_596_800_000, 253_402_300_799_999),
            ("micros", "us", -62_135_596_800_000_000, 253_402_300_799_999_999),
            ("nanos", "ns", -(2**63), 2**63 - 1),
        )
    ),
]


def test_every_logical_type_is_here() -> None:
    seen = {definition["logicalType"] for definition, *_ in TYPES if "logicalType" in definition}
    assert seen == set(LOGICAL)


@pytest.mark.parametrize(("definition", "kind", "values", "refused"), TYPES, ids=lambda part: str(part)[:40])
def test_a_type(definition: Any, kind: str, values: list[tuple[Any, Any]], refused: list[Any], tmp_path: Path) -> None:
    columns = columns_of(parse(definition))
    assert str(columns.types["_value"]) == kind
    rows = [(Record(0, 0, None, (), b""), columns.cells(value)) for value, _ in values]
    table = table_of(rows, columns.types, 1, [])
    assert table is not None
    write(tmp_path / "a.parquet", table)
    read = pyarrow.parquet.read_table(tmp_path / "a.parquet")["_value"]
    assert str(read.type) == kind
    assert [each.value if hasattr(each, "value") else each.as_py() for each in read] == [found for _, found in values]
    for value in refused:
        with pytest.raises(ValueError, match="expected"):
            columns.cells(value)


def types_of(definition: Any) -> dict[str, str]:
    return {name: str(kind) for name, kind in columns_of(parse(definition)).types.items()}


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


def test_nested_types_are_nested_and_a_type_within_itself_is_text() -> None:
    item = record("Item", price={"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2})
    tree = record(
        "Tree", items={"type": "array", "items": item}, by_name={"type": "map", "values": "Item"},
        either=["null", "int", "long", "Item"], one=["null", "Item"], next=["null", "Tree"], nothing=record("Nothing"),
    )  # fmt: skip
    held = "struct<price: decimal128(4, 2)>"
    assert types_of(tree) == {
        "items": f"list<item: {held}>",
        "by_name": f"map<string, {held}>",
        "either": f"struct<int: int32, long: int64, Item: {held}>",
        "one": held,
        "next": "string",
        "nothing": "string",
    }
    cells = columns_of(parse(tree)).cells
    inner = {"items": [{"price": Decimal("1.20")}], "by_name": {}, "either": (2, 2**60), "one": None, "next": None}
    value = {**inner, "nothing": {}, "either": (0, None), "next": inner | {"nothing": {}}}
    made = dict(zip(types_of(tree), cells(value), strict=True))
    assert made["either"] is None
    assert json.loads(made["next"]) == {
        "items": [{"price": "1.20"}], "by_name": {}, "either": {"long": 2**60}, "one": None, "next": None, "nothing": {}
    }  # fmt: skip


def test_branches_have_names_of_their_own() -> None:
    named = [{"type": "record", "name": f"{space}.Thing", "fields": []} for space in ("a", "b")]
    assert branch_names(["null", "long", *named, {"type": "map", "values": "int"}, "c.Other"]) == [
        "null", "long", "a_Thing", "b_Thing", "map", "Other",
    ]  # fmt: skip


def test_deep_and_wide_types_become_text_somewhere(tmp_path: Path) -> None:
    deep: Any = "int"
    for level in range(3 * DEPTH_MAX):
        deep = record(f"R{level}", f=deep)
    columns = columns_of(parse(deep))
    value: Any = 7
    for _ in range(3 * DEPTH_MAX):
        value = {"f": value}
    table = table_of([(Record(0, 0, None, (), b""), columns.cells(value))], columns.types, 1, [])
    assert table is not None
    write(tmp_path / "a.parquet", table)
    assert polars.read_parquet(tmp_path / "a.parquet").height == 1
    wide: Any = "int"  # 2^20 ints, by twenty names
    for level in range(20):
        wide = record(f"W{level}", a=wide, b=f"W{level - 1}" if level else "int")
    assert columns_of(parse(wide)).leaves <= LEAVES_MAX
    many = record("Many", **{f"f{number}": "int" for number in range(2 * LEAVES_MAX)})
    assert set(types_of(many).values()) == {"int32"}


def test_items_are_counted() -> None:
    columns = columns_of(parse({"type": "array", "items": {"type": "map", "values": "null"}}))
    columns.cells([{"a": None}, {"b": None, "c": None}])
    assert columns.tally.items == 10
