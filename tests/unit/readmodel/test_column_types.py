"""What is known of a column's values without PostgreSQL; that it agrees is tested in integration/readmodel."""

from typing import Any

import pytest
from atlas_readmodel.column_types import SHOWN_MAX, RowCheck, column_type, shown


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
        ("jsonb", {}, "expected str, got dict"),
        ("text[]", "abc", "expected a list, got str"),
        ("text[]", ["a", 1], "expected str, got int"),
        ("text[]", [["a"], ["b\0"]], "0x00"),
        ("double precision", "x", "expected float, got str"),
        ("numeric", [1], "expected a number, got list"),
        ("date", [1], "got list"),
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
        ("varchar(3)", "abc   "),
        ("text", None),
        ("integer", 2**31 - 1),
        ("integer", True),
        ("text[]", [None, "a"]),
        ("uuid", "x"),
    ],
)
def test_what_is_not_known_to_be_wrong_passes(declared: str, value: Any) -> None:
    assert RowCheck({"c": column_type(declared)}).wrong({"c": value}) is None


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
