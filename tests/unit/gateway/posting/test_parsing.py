"""Numbers as they were written; what loses nothing is left to orjson; what is no JSON is said alike."""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
import pytest
from atlas_contracts.values import exact_json
from atlas_gateway.posting.parsing import exactly
from hypothesis import example, given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = (
    st.integers(-(10**40), 10**40)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def written(value: Any, space: str) -> str:
    """JSON with numbers as they are, and white space where there may be some."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return f"[{space}" + f",{space}".join(written(part, space) for part in value) + f"{space}]"
    if isinstance(value, dict):
        members = (f"{json.dumps(name)}{space}:{space}{written(part, space)}" for name, part in value.items())
        return "{" + f",{space}".join(members) + "}"
    return json.dumps(value)


@given(JSON, st.sampled_from(["", " ", "\r\n\t "]))
@example(0.1, "")
@example([10**38 - 1], "")
@example({"a": 9_223_372_036_854_775_808}, " ")
def test_every_number_is_the_one_that_was_written(value: Any, space: str) -> None:
    text = written(value, space).encode()
    assert _same(exactly(text), exact_json.parse(text)), text


def _same(one: Any, other: Any) -> bool:
    """Equal, and no number a float."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and str(one) == str(other)


@given(st.binary(max_size=30) | st.text(alphabet='[]{}",:0129.eE+-truefalsn \\u\n', max_size=30).map(str.encode))
def test_what_is_no_json_is_refused_with_a_place(data: bytes) -> None:
    """And by nothing else: whatever comes in a body is a 400."""
    with suppress(json.JSONDecodeError):
        exactly(data)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        (b'{"a": 1.5, "b": 0.' + b"9" * 1999 + b"}", 17, "a number of 2001 characters"),
        (b'{"a": 1.5, "b": 1e-' + b"1" * 19 + b"}", 18, "an exponent"),
        (b"[" * 2000 + b"1.5" + b"]" * 2000, 1026, "depth limit"),
        (b'{"a": 1.5, "b": }', 17, "expected a JSON value"),
    ],
)
def test_what_is_read_by_nobody_here(text: bytes, column: int, words: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=words) as refused:
        exactly(text)
    assert refused.value.colno >= column - 1


def test_what_loses_nothing_is_read_by_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events whose decimals are text are as fast as before."""

    def never(_text: bytes) -> Any:
        raise AssertionError("read by the slow one")

    monkeypatch.setattr(exact_json, "parse", never)
    for value in ({"price": "12.34", "n": 7, "at": 1704067200123456}, [1, "1e5", "(1.5"], 2**59, "x", None):
        assert exactly(orjson.dumps(value)) == value
    for text in (b"1.5", b"[1.5]", b'{"a":1e5}', b'{"a" :\n 18446744073709551617}', b"[1, -0.5]"):
        with pytest.raises(AssertionError):
            exactly(text)
