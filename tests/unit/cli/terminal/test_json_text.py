"""JSON of any depth."""

import json
from typing import Any

import pytest
from atlas_cli.terminal.json_text import json_text
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


def nested(depth: int) -> Any:
    value: Any = {"leaf": [1, {"é": None}]}
    for level in range(depth):
        value = {"next": value, "level": level} if level % 2 else [value, level]
    return value


@given(VALUES)
def test_what_is_written_reads_as_it_was(value: Any) -> None:
    for indent in (None, 2):
        assert json.loads(json_text(value, indent)) == value


@pytest.mark.parametrize("depth", [200, 5_000, 100_000])
def test_no_depth_is_too_deep(depth: int) -> None:
    for indent in (None, 2):
        text = json_text(nested(depth), indent)
        assert text.count("[") + text.count("{") == depth + 3
        if depth == 200:
            assert json.loads(text) == nested(depth)


def test_depth_changes_nothing_else() -> None:
    deep = json_text(nested(5_000))
    part = deep[deep.index('{"leaf"') : deep.index('{"leaf"') + len('{"leaf":[1,{"é":null}]}')]
    assert part == json_text(nested(0))
