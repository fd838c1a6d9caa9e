"""Every item once, in order, whatever the size of the pages; and what is no page is said."""

import pytest
from atlas_runtime.serving.paging import LIMIT, LIMIT_MAX, NoPage, page
from hypothesis import given
from hypothesis import strategies as st

Item = tuple[int, float, str]
ITEMS = st.lists(st.tuples(st.integers(-5, 5), st.floats(-9, 0), st.text(max_size=3)), unique=True, max_size=40)


def whole(items: list[Item], limit: int) -> list[Item]:
    found: list[Item] = []
    query = {"limit": str(limit)}
    while True:
        some, cursor = page(query, items, lambda item: item)
        assert len(some) <= limit
        found += some
        if cursor is None:
            return found
        query["cursor"] = cursor


@given(ITEMS, st.integers(1, 50))
def test_the_pages_are_the_list(items: list[Item], limit: int) -> None:
    assert whole(sorted(items), limit) == sorted(items)


@given(ITEMS, ITEMS)
def test_a_cursor_goes_on_in_a_list_that_has_changed(before: list[Item], after: list[Item]) -> None:
    some, cursor = page({"limit": "3"}, sorted(before), lambda item: item)
    if cursor is not None:
        rest, _ = page({"cursor": cursor, "limit": "500"}, sorted(after), lambda item: item)
        assert rest == [item for item in sorted(after) if item > some[-1]]


def test_a_page_that_nobody_sized_is_bounded() -> None:
    assert len(page({}, range(1000), lambda item: (item,))[0]) == LIMIT
    assert len(page({"limit": str(LIMIT_MAX)}, range(1000), lambda item: (item,))[0]) == LIMIT_MAX
    assert len(page({}, range(1000), lambda item: (item,), 400)[0]) == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", text) for text in ("0", "501", "-1", "1.5", "", "x", "9" * 5000, "\u0661")]
    + [("cursor", text) for text in ("x", "", "WyJ4Il0", "WzEsMl0x", "bnVsbA", "\u0661", "A" * 5000)],
)
def test_what_is_no_page_is_named(name: str, value: str) -> None:
    with pytest.raises(NoPage) as caught:
        page({name: value}, [1, 2], lambda item: (item,))
    assert caught.value.name == name
    assert str(caught.value).startswith(f"{name}: found ")
