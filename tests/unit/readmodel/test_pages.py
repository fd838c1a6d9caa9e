"""Pages: a cursor comes back as it was, whatever types order the list, and nothing else is one."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from atlas_readmodel.columns.column_types import column_type
from atlas_readmodel.pages import (
    Filter,
    InvalidCursor,
    Page,
    Sort,
    after,
    contains,
    decode_cursor,
    encode_cursor,
    ordered,
    paged,
    where,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.readmodel.edge_values import TAKEN, held

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
EDGES = [
    (declared, held(pair))
    for declared, pairs in TAKEN.items()
    for pair in pairs
    if declared != "jsonb" and len(encode_cursor([held(pair)])) < 2000
]


@given(sort=st.integers(-(2**63) + 1, 2**63 - 1), keys=st.lists(TEXTS, max_size=3))
def test_a_cursor_comes_back_as_it_was(sort: int, keys: list[str]) -> None:
    assert decode_cursor(encode_cursor([sort, *keys]), ["bigint", *("text" for _ in keys)]) == [sort, *keys]


@pytest.mark.parametrize(("declared", "value"), EDGES)
def test_of_each_type_a_value_comes_back_as_it_was(declared: str, value: Any) -> None:
    (found, last) = decode_cursor(encode_cursor([value, "k"]), [declared, "text"])
    assert last == "k"
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@given(st.text(), st.sampled_from([*TAKEN]))
def test_any_text_is_a_cursor_or_refused(text: str, declared: str) -> None:
    try:
        (decoded,) = decode_cursor(text, [declared])
    except InvalidCursor:
        return
    assert column_type(declared).check(decoded) is None


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4),
    st.sampled_from([*TAKEN]),
)
def test_any_json_is_a_value_of_its_type_or_refused(value: Any, declared: str) -> None:
    try:
        (decoded,) = decode_cursor(encode_cursor([value]), [declared])
    except (InvalidCursor, TypeError):  # of a whole number beyond 64 bits there is no cursor
        return
    assert column_type(declared).check(decoded) is None


@pytest.mark.parametrize(
    "values",
    [[], [1], ["a", "b"], [1, 2], [1, "a", "b"], [True, "a"], [1, "a\x00"], [2**63, "a"], [1.5, "a"], {"a": 1},
     [None, "a"]],
)  # fmt: skip
def test_what_is_no_cursor_of_the_query(values: list[object]) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor(values), ("bigint", "text"))


@pytest.mark.parametrize(
    ("declared", "value"),
    [("date", "tomorrow"), ("date", 3), ("uuid", "0190F3C4-0000-7000-8000-000000000ABC"), ("timestamptz", "2024-01-01"),
     ("timestamptz", "2024-01-01T00:00:00Z"), ("numeric(4,2)", "1.234"), ("numeric(4,2)", "1.2"), ("boolean", 1),
     ("bytea", "\u0100"), ("inet", "x")],
)  # fmt: skip
def test_a_value_in_another_form_was_given_by_no_page(declared: str, value: Any) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor([value]), [declared])


def test_a_page_says_where_it_ended() -> None:
    rows = [{"n": number, "k": str(number)} for number in (3, 2, 1)]
    order = [Sort("n", "bigint"), Sort("k")]
    assert paged(rows, 3, order) == Page(rows, None)
    page = paged(rows, 2, order)
    assert page.items == rows[:2]
    assert decode_cursor(page.next_cursor or "", ("bigint", "text")) == [2, "2"]


def test_filters_are_numbered() -> None:
    assert where([]) == ("", [])
    filters = [Filter("a = ${n}", 1), Filter("b = ${n} OR c = ${n}", 2), Filter("d > ${n1} OR e < ${n}", (3, 4), True)]
    assert where(filters) == ("WHERE a = $1 AND b = $2 OR c = $2 AND d > $4 OR e < $3", [1, 2, 3, 4])


def test_wildcards_of_a_search_are_letters() -> None:
    assert contains(("a", "b"), "50%_\\") == ("(a ILIKE ${n} OR b ILIKE ${n})", "%50\\%\\_\\\\%", False)


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), unique=True, max_size=20)


@given(ROWS, st.tuples(st.booleans(), st.booleans(), st.booleans()), st.integers(1, 7))
def test_pages_in_any_order_have_each_row_once(
    rows: list[tuple[int, int, int]], falling: tuple[bool, bool, bool], limit: int
) -> None:
    """The conditions behind a cursor, as SQLite understands them: rows, orders and limits of any kind."""
    order = [Sort(name, "integer", down) for name, down in zip("abc", falling, strict=True)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("CREATE TABLE t (a, b, c)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        seen: list[tuple[int, ...]] = []
        cursor: str | None = None
        while cursor is not None or not seen:
            clause, values = where([] if cursor is None else [after(order, cursor)])
            sql = f"SELECT * FROM t {clause} ORDER BY {ordered(order)} LIMIT {limit + 1}"
            found = [dict(row) for row in connection.execute(sql.replace("$", "?"), values)]
            page = paged(found, limit, order)
            seen += [tuple(row.values()) for row in page.items]
            cursor = page.next_cursor
            if not rows:
                break
    signs = [-1 if down else 1 for down in falling]
    assert seen == sorted(rows, key=lambda row: [sign * value for sign, value in zip(signs, row, strict=True)])
