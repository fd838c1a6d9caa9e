"""What is known of a column's values without PostgreSQL; that it agrees is tested in integration/readmodel."""

import re
from pathlib import Path
from typing import Any

import pytest
from atlas_readmodel.columns.column_types import column_type
from atlas_readmodel.columns.row_check import SHOWN_MAX, RowCheck, shown


@pytest.mark.parametrize(
    ("declared", "sql", "array", "required"),
    [
        ("text", "text", False, False),
        ("TEXT NOT NULL", "text", False, True),
        ("numeric(10, 2) NOT NULL CHECK (n > 0)", "numeric(10, 2)", False, True),
        ("double precision DEFAULT 0", "double precision", False, False),
        ("timestamp with time zone not  null", "timestamp with time zone", False, True),
        ("character varying(10)", "character varying(10)", False, False),
        ("text[] NOT NULL", "text[]", True, True),
        ("integer[][]", "integer[][]", True, False),
    ],
)
def test_a_declaration_is_taken_apart(declared: str, sql: str, array: bool, required: bool) -> None:
    column = column_type(declared)
    assert (column.sql, column.array, column.required) == (sql, array, required)


@pytest.mark.parametrize(
    ("declared", "value", "reason"),
    [
        ("text", "a\0", "0x00"),
        ("text", "\ud800", "no UTF-8"),
        ("text", ["a"], "expected str, got list"),
        ("text NOT NULL", None, "must not be null"),
        ("integer", 2**31, "out of range of an integer of 32 bits"),
        ("smallint", -(2**15) - 1, "16 bits"),
        ("bigint", "1", "expected int, got str"),
        ("boolean", 1, "expected bool, got int"),
        ("varchar(3)", "abcd", "longer than 3 characters"),
        ("varchar(3)", "a\0", "0x00"),
        ("bytea", "x", "expected bytes, got str"),
        ("jsonb", "{", "no JSON text"),
        ("text[]", "abc", "expected a list, got str"),
        ("text[]", ["a", 1], "expected str, got int"),
        ("text[]", [["a"], ["b\0"]], "0x00"),
        ("double precision", "x", "expected float, got str"),
        ("numeric", [1], "expected Decimal, int or a decimal as text, got list"),
        ("date", [1], "expected a date or days since 1970-01-01, got list"),
    ],
)
def test_what_is_wrong_is_said_with_column_and_value(declared: str, value: Any, reason: str) -> None:
    said = RowCheck({"c": column_type(declared)}).wrong({"c": value})
    assert said is not None
    assert said.startswith("column c: ")
    assert reason in said
    assert said.endswith(f"found {shown(value)}")


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("text", ""),
        ("text", None),
        ("integer", 2**31 - 1),
        ("integer", True),
        ("text[]", [None, "a"]),
    ],
)
def test_what_is_not_known_to_be_wrong_passes(declared: str, value: Any) -> None:
    assert RowCheck({"c": column_type(declared)}).wrong({"c": value}) is None


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("json", "is no type that a column can have"),
        ("time with time zone", "a time of a day with a zone"),
        ("date without time zone", "date has no zone"),
        ("text(3)", "text has no such size"),
        ("varchar(0)", "at least 1"),
        ("numeric(1001)", "a precision of 1 to 1000"),
        ("numeric(10, 2000)", "a precision of 1 to 1000"),
        ("timestamptz(7)", "0 to 6 digits"),
        ("jsonb[]", "a jsonb holds lists itself"),
        ("interval year to month", "year is nothing that may follow"),
        ("integer ARRAY", "array is nothing that may follow"),
        ("text PRIMARY KEY", "primary is nothing that may follow"),
        ("text NOT NULL PRIMARY KEY", "the key is told by `key`"),
        ("bigint GENERATED ALWAYS AS IDENTITY", "generated is nothing that may follow"),
        ("bigint NOT NULL GENERATED ALWAYS AS (1) STORED", "a generated column"),
    ],
)
def test_what_can_not_be_a_column_is_refused_when_it_is_declared(declared: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        column_type(declared)


@pytest.mark.parametrize(
    ("declared", "required"),
    [
        ("text CHECK (c IS NOT NULL OR 1 = (SELECT 1))", False),
        ("text DEFAULT 'generated not null' COLLATE \"C\"", False),
        ("text CHECK (c <> 'primary') NOT NULL", True),
        ("numeric(3, -2) NULL", False),
    ],
)
def test_only_a_constraint_of_the_column_itself_makes_it_required(declared: str, required: bool) -> None:
    assert column_type(declared).required is required


ALIASES = {"character varying", "int", "int2", "int4", "int8", "float4", "float8", "decimal", "bool"}


def test_the_page_of_columns_is_this_table() -> None:
    page = (Path(__file__).parents[4] / "docs" / "columns.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    in_key = {name: row[4] for row in rows for name in re.findall(r"`([a-z ]+)[^`]*`", row[0])}
    with pytest.raises(ValueError, match="expected one of") as raised:
        column_type("nothing")
    known = str(raised.value).partition("expected one of ")[2].split(", ")
    assert set(in_key) == set(known) - ALIASES
    assert {name: "yes" if column_type(name).in_key else "no" for name in in_key} == in_key
    for alias in ALIASES:
        column_type(alias)


@pytest.mark.parametrize("row", [None, [], "row", 1])
def test_what_is_no_row(row: Any) -> None:
    assert "expected a row as a dict" in (RowCheck({"c": column_type("text")}).wrong(row) or "")


def test_a_missing_column_is_named_and_others_are_passed_over() -> None:
    check = RowCheck({"c": column_type("text NOT NULL")})
    assert check.wrong({"d": 1}) == "column c: missing, expected text"
    assert check.wrong({"c": "x", "d": 1}) is None
    assert check.wrong_in("c", None) == "column c: it must not be null, found None"


def test_what_is_shown_is_bounded_and_speaks_to_no_terminal() -> None:
    assert len(shown("x" * 10_000)) == SHOWN_MAX + 1
    assert shown("\x1b[31m") == r"'\x1b[31m'"

    class Odd:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert shown(Odd()) == "<ZeroDivisionError>"
