"""Pages: a cursor comes back as it was, and nothing else is one."""

import pytest
from atlas_readmodel.pages import InvalidCursor, Page, decode_cursor, encode_cursor, paged, where
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(sort=st.integers(-(2**63) + 1, 2**63 - 1), keys=st.lists(TEXTS, max_size=3))
def test_a_cursor_comes_back_as_it_was(sort: int, keys: list[str]) -> None:
    assert decode_cursor(encode_cursor([sort, *keys]), len(keys)) == [sort, *keys]


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        decoded = decode_cursor(text)
    except InvalidCursor:
        return
    assert type(decoded[0]) is int


@pytest.mark.parametrize(
    "values",
    [[], [1], ["a", "b"], [1, 2], [1, "a", "b"], [True, "a"], [1, "a\x00"], [2**63, "a"], [1.5, "a"], {"a": 1}],
)
def test_what_is_no_cursor_of_the_query(values: list[object]) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor(values))


def test_a_page_says_where_it_ended() -> None:
    rows = [{"n": number, "k": str(number)} for number in (3, 2, 1)]
    assert paged(rows, 3, ("n", "k")) == Page(rows, None)
    page = paged(rows, 2, ("n", "k"))
    assert page.items == rows[:2]
    assert decode_cursor(page.next_cursor or "") == [2, "2"]


def test_filters_are_numbered() -> None:
    assert where([]) == ("", [])
    assert where([("a = ${n}", 1), ("b = ${n} OR c = ${n}", 2)]) == ("WHERE a = $1 AND b = $2 OR c = $2", [1, 2])
