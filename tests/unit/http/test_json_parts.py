"""The parts of a JSON text: what a parser would find, found by structure alone."""

import json
from typing import Any

import pytest
from atlas_http import json_parts
from atlas_http.json_parts import Broken, TooMuch, after_white_space, elements, has_more_members
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.sampled_from('ab"\\\\[]{},: é😀\n'), max_size=12) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def dumped(value: Any, indent: int | None) -> bytes:
    return json.dumps(value, ensure_ascii=True, indent=indent).encode()


def members(value: Any) -> int:
    """Containers, and the commas between what is in them."""
    if not isinstance(value, list | dict):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(0, len(value) - 1) + sum(members(item) for item in inside)


def parsed(text: bytes) -> Any:
    """What a parser makes of it; None when it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


@pytest.fixture(params=[5, 64 * 1024])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a few bytes end at every place that there is."""
    monkeypatch.setattr(json_parts, "_WINDOW_BYTES", request.param)


@given(items=st.lists(VALUES, max_size=6), indent=st.sampled_from([None, 1]))
@pytest.mark.usefixtures("window")
async def test_an_array_has_the_elements_it_has(items: list[Any], indent: int | None) -> None:
    text = b" \n" + dumped(items, indent) + b" "
    bounds = await elements(text, 1000)
    assert [json.loads(text[start:end]) for start, end in zip(bounds[::2], bounds[1::2], strict=True)] == items


@given(value=VALUES, indent=st.sampled_from([None, 1]))
@pytest.mark.usefixtures("window")
async def test_members_are_counted_outside_of_strings(value: Any, indent: int | None) -> None:
    text, count = dumped(value, indent), members(value)
    assert not await has_more_members(text, count)
    assert count == 0 or await has_more_members(text, count - 1)


@given(text=st.text(st.sampled_from('[]{}",:\\\\ a1'), max_size=30))
@pytest.mark.usefixtures("window")
async def test_what_is_an_array_is_never_cut_wrongly(text: str) -> None:
    body = b"[" + text.encode()
    try:
        bounds = await elements(body, 1000)
    except Broken:
        parts = [b"no JSON"]
    else:
        parts = [body[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    assert parsed(b"[" + b",".join(parts) + b"]") == parsed(body)
    await has_more_members(body, 3)


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        (b"[1, 2", "no end", 5), (b"[", "no end", 1), (b'["a', "string has no end", 3), (b"[1] 2", "more after", 4),
        (b"[1}", "no end", 2), (b'["\\"]', "string has no end", 5),
    ],
)  # fmt: skip
async def test_an_array_that_has_no_such_end(text: bytes, reason: str, position: int) -> None:
    with pytest.raises(Broken, match=reason) as raised:
        await elements(text, 1000)
    assert raised.value.position == position


@pytest.mark.parametrize("text", [b"[" + b"1," * 10 + b"1]", b"[" + b"[[1]]" * 100 + b"]"])
async def test_an_array_of_too_many_is_not_looked_at_to_its_end(text: bytes) -> None:
    with pytest.raises(TooMuch):
        await elements(text, 10)


async def test_an_array_of_as_many_as_may_be() -> None:
    assert len(await elements(b"[" + b'{"a": [1, {"b": "c"}], "d": {}},' * 9 + b"1]", 10)) == 20


async def test_nesting_has_an_end() -> None:
    with pytest.raises(Broken, match="deep"):
        await elements(b"[" * 5000, 1_000_000)


async def test_white_space() -> None:
    assert await after_white_space(b" \t\r\n1", 0) == 4
    assert await after_white_space(b" " * 200_000, 0) == 200_000
