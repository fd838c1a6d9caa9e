"""No table is wider than it may be, and none breaks a word."""

from atlas_cli.terminal.tables import GAP, blocks, columns_of, fitted, is_numeric
from hypothesis import given
from hypothesis import strategies as st

WORD = st.text("abc日", min_size=1, max_size=12)
TEXT = st.lists(WORD, max_size=8).map(" ".join)


@given(st.lists(st.lists(TEXT, min_size=2, max_size=4), min_size=1, max_size=4), st.integers(10, 80))
def test_what_fits_has_room_for_every_word(columns: list[list[str]], width: int) -> None:
    from rich.cells import cell_len

    least = [max((cell_len(word) for text in texts for word in text.split()), default=1) for texts in columns]
    gaps = GAP * (len(columns) - 1)
    widths = fitted(columns, width)
    if widths is None:
        assert sum(least) + gaps > width
    else:
        assert sum(widths) + gaps <= width
        assert all(has >= needed for has, needed in zip(widths, least, strict=True))


def test_the_widest_column_gives_first() -> None:
    assert fitted([["id", "17"], ["why", "a b c d e f g h"]], 12) == [2, 8]
    assert fitted([["id", "17"], ["why", "abcdefghijk"]], 12) is None


def test_a_column_that_no_row_fills_is_no_column() -> None:
    rows = [{"a": None, "b": 0, "c": ""}, {"a": None, "b": None, "c": ""}]
    assert columns_of(rows) == ["b"]
    assert columns_of([{"a": None}]) == ["a"]
    assert is_numeric(rows, "b")
    assert not is_numeric(rows, "a")
    assert not is_numeric([{"a": True}], "a")


def test_a_block_goes_on_below_itself_and_breaks_no_word() -> None:
    rows = [{"id": "1", "error": "a field that is missing-altogether from-it"}, {"id": "2", "error": ""}]
    assert list(blocks(rows, 30)) == [
        "id     1",
        "error  a field that is",
        "       missing-altogether",
        "       from-it",
        "",
        "id     2",
        "error",
    ]
