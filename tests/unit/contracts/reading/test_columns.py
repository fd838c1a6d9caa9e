"""Columns of encoded values come to their values, in their order."""

import struct

import pytest
from atlas_contracts.reading.columns import (
    VALUES_MAX,
    booleans,
    doubles,
    fixed,
    floats,
    numbers,
    optional,
    symbols,
    texts,
)
from hypothesis import given
from hypothesis import strategies as st


def encoded(number: int) -> str:
    left, out = (number << 1) ^ (number >> 63), ""
    while left > 127:
        out += chr(left & 127 | 128)
        left >>= 7
    return out + chr(left)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20) | st.lists(st.integers(-(2**55), 2**55 - 1)))
def test_numbers(some: list[int]) -> None:
    assert list(numbers([encoded(number) for number in some])) == some


def test_as_many_numbers_as_there_may_be() -> None:
    some = [(-1) ** place << place % 55 for place in range(VALUES_MAX)]
    assert list(numbers([encoded(number) for number in some])) == some


def test_a_number_longer_than_it_needs_to_be() -> None:
    assert list(numbers(["\x82\x00", "\x82\x80\x80\x00"])) == [1, 1]


def test_texts_keep_their_alphabets_apart() -> None:
    some = ["abc", "", "Zürich", "北京"]
    column = [encoded(len(text.encode())) + text.encode().decode("latin-1") for text in some]
    assert list(texts(column)) == some
    with pytest.raises(UnicodeDecodeError):
        list(texts(["\x02\xff"]))


def test_what_has_a_size_of_its_own() -> None:
    assert list(fixed(["ab", "\xff\x00"])) == [b"ab", b"\xff\x00"]
    assert list(doubles([struct.pack("<d", 0.1).decode("latin-1")] * 2)) == [0.1, 0.1]
    assert list(floats([struct.pack("<f", 0.5).decode("latin-1")])) == [0.5]
    assert list(booleans(["\x01", "\x00"])) == [True, False]
    assert list(symbols({"\x00": "A", "\x02": "B"})(["\x02", "\x00"])) == ["B", "A"]


def test_an_empty_place_is_none() -> None:
    convert = optional(numbers)
    assert list(convert(["\x02", "", "\x04"])) == [1, None, 2]
    assert list(convert(["", ""])) == [None, None]
    assert list(convert(["\x02"])) == [1]
