"""Bodies in groups: the same records whatever way they arrive in, and the loop free in between."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from atlas_gateway.limits import TOO_COMPLEX, TOO_MANY_RECORDS, Limits
from atlas_gateway.posting.envelopes import Refused
from atlas_gateway.posting.production import RECORD_TOO_LARGE
from atlas_gateway.posting.sources import GROUP_RECORDS, document, lines
from atlas_http.problems import Problem
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.stalls import STALL_MAX_S, watched

LARGE = 300 * 1024
LIMITS = Limits()
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


async def pieces(body: bytes, piece: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(body), piece):
        yield body[start : start + piece]
        await asyncio.sleep(0)


async def all_of(groups: AsyncIterator[list[Any]]) -> list[Any]:
    return [item async for group in groups for item in group]


@given(
    items=st.lists(
        st.dictionaries(st.text(max_size=3), st.integers(-9, 9) | st.text(max_size=5), min_size=1), max_size=8
    ),
    piece=st.integers(1, 40),
    end=st.sampled_from(["\n", "\r\n", "\n\n  \n"]),
)
async def test_lines_wherever_they_are_cut(items: list[Any], piece: int, end: str) -> None:
    body = end.join(json.dumps(item, ensure_ascii=False) for item in items).encode()
    assert await all_of(lines(pieces(body, piece), LIMITS)) == items


async def test_a_broken_line_has_its_number_across_pieces() -> None:
    body = b'{"a":1}\n\n{"a":\n{"a":2}\nnope'
    for piece in (1, 3, 7, 100):
        found = await all_of(lines(pieces(body, piece), LIMITS))
        assert [item for item in found if not isinstance(item, Refused)] == [{"a": 1}, {"a": 2}]
        assert [item.error["line"] for item in found if isinstance(item, Refused)] == [3, 5]


async def test_lines_come_in_groups() -> None:
    groups = [group async for group in lines(pieces(b"1\n" * 1000), LIMITS)]
    assert [len(group) for group in groups] == [GROUP_RECORDS] * 4


@pytest.mark.parametrize("body", [b"[1,2", b'{"a":}', b"", b"[1] 2", b"\xff", b"nope"])
async def test_a_document_that_is_none(body: bytes) -> None:
    with pytest.raises(Problem) as raised:
        await all_of(document(pieces(body), LIMITS))
    assert raised.value.kind.status == 400
    assert raised.value.document["line"] == 1


async def test_small_documents() -> None:
    assert await all_of(document(pieces(b' {"a": 1} '), LIMITS)) == [{"a": 1}]
    assert await all_of(document(pieces(b" [1, [2], {}] "), LIMITS)) == [1, [2], {}]
    assert await all_of(document(pieces(b"[]"), LIMITS)) == []


@given(
    items=st.lists(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        ),
        min_size=1,
        max_size=5,
    ),
    indent=st.sampled_from([None, 1]),
)
async def test_a_large_array_has_the_elements_it_has(items: list[Any], indent: int | None) -> None:
    try:
        body = json.dumps([*items, "x" * LARGE], ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is no UTF-8
    assert await all_of(document(pieces(body), LIMITS)) == [*items, "x" * LARGE]


@pytest.mark.parametrize(
    ("broken", "line", "column"),
    [
        ('[\n"{}",\n1 2]', 3, 3),
        ('["{}"', 1, LARGE + 4),
        ('["{}",]', 1, LARGE + 5),
        ('["{}"] 1', 1, LARGE + 6),
        ('["{}", NaN]', 1, LARGE + 6),
        ('["{}", 01]', 1, LARGE + 6),
        ('["{}", {{"a": }}]', 1, None),
    ],
)
async def test_a_large_array_that_is_none(broken: str, line: int, column: int | None) -> None:
    body = broken.format("x" * LARGE).encode()
    with pytest.raises(Problem) as raised:
        await all_of(document(pieces(body), LIMITS))
    assert raised.value.document["line"] == line
    if column is not None:
        assert raised.value.document["column"] == column


async def test_an_array_nested_too_deeply_is_no_crash() -> None:
    for body in (b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000, b"[" * 20_000 + b"]" * 20_000):
        with pytest.raises(Problem) as raised:
            await all_of(document(pieces(body), LIMITS))
        assert raised.value.kind.status == 400


async def test_text_that_is_not_utf_8_is_refused_before_anything_is_sent() -> None:
    body = b'["' + b"x" * LARGE + b'", "\xff"]'
    with pytest.raises(Problem) as raised:
        await all_of(document(pieces(body), LIMITS))
    assert raised.value.document["column"] == LARGE + 7


COMPLEX = b'{"a":[' + b"[]," * 20_000 + b"1]}"


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (COMPLEX + b" " * 100_000, [TOO_COMPLEX]),
        (b"[" + COMPLEX + b", 1, " + COMPLEX + b"," + b" " * 100_000 + b"2]", [TOO_COMPLEX, int, TOO_COMPLEX, int]),
        (b'{"a": "' + b"[" * 1_000_000 + b'"}', [dict]),
        (b'{"a": "' + b"x" * 3_000_000 + b'"}', [RECORD_TOO_LARGE]),
        (b"[1, " + b" " * 3_000_000 + b"2, 3]", [int, RECORD_TOO_LARGE, int]),
    ],
)
async def test_a_record_that_is_too_much_is_refused_unparsed(body: bytes, kinds: list[Any]) -> None:
    found = await all_of(document(pieces(body), LIMITS))
    assert [item.kind if isinstance(item, Refused) else type(item) for item in found] == kinds
    found = await all_of(lines(pieces(COMPLEX + b"\n1\n" + b"x" * 3_000_000 + b"\n2"), LIMITS))
    kinds = [TOO_COMPLEX, int, RECORD_TOO_LARGE, int]
    assert [item.kind if isinstance(item, Refused) else type(item) for item in found] == kinds


@pytest.mark.parametrize("size", [1000, 200_000])
async def test_a_document_of_too_many_records_is_refused_before_the_first(size: int) -> None:
    body = b"[" + b"1," * size + b"1]"
    assert len(await all_of(document(pieces(body), Limits(records=size + 1)))) == size + 1
    with pytest.raises(Problem) as raised:
        await anext(document(pieces(body), Limits(records=size)))
    assert raised.value.kind is TOO_MANY_RECORDS


async def test_lines_without_end_are_not_read_to_it() -> None:
    assert await all_of(lines(pieces(b"\n" * 40, 3), Limits(records=10))) == []
    with pytest.raises(Problem) as raised:
        await all_of(lines(pieces(b"\n" * 50, 3), Limits(records=10)))
    assert raised.value.kind is TOO_MANY_RECORDS


HOSTILE = {
    "containers": b'{"a":[' + b"[]," * 5_500_000 + b"1]}",
    "containers in an array": b"[" + b"[]," * 5_500_000 + b"1]",
    "members": b'{"a":[' + b"1," * 8_000_000 + b"1]}",
    "white space": b" " * 16_000_000,
    "white space in an array": b"[" + b" " * 16_000_000 + b"]",
    "blank lines": b"\n" * 16_000_000,
    "a string": b'["' + b"x" * 16_000_000 + b'"]',
    "escapes": b'["' + b"\\n" * 8_000_000 + b'"]',
    "strings": b"[" + b'"",' * 5_000_000 + b"1]",
    "strings in a value": b"[[" + b'"",' * 5_000_000 + b"1]]",
    "a number": b"[" + b"1" * 16_000_000 + b"]",
    "no end": b'["' + b"\\" * 15_999_999,
    "opened": b"[" * 16_000_000,
    "opened objects": b'{"a":' * 3_000_000,
    "closed": b"[1" + b"]" * 16_000_000,
}


@pytest.mark.alone
@pytest.mark.parametrize("source", [lines, document])
@pytest.mark.parametrize("name", HOSTILE)
async def test_no_body_holds_the_loop(source: Any, name: str) -> None:
    stalls = []
    for _ in range(3):  # a page fault or a neighbour on the core may cost one of them a few milliseconds
        async with watched() as watch:
            with suppress(Problem):
                async for _group in source(pieces(HOSTILE[name]), LIMITS):
                    pass
        stalls.append(watch.longest_s)
        if watch.longest_s < STALL_MAX_S:
            break
    assert min(stalls) < STALL_MAX_S


@pytest.mark.alone
@pytest.mark.parametrize("source", [lines, document])
async def test_the_loop_is_free_between_groups(source: Any) -> None:
    record = {"type": "t", "value": {f"field_{number}": "some text" for number in range(12)}}
    separator, around = (",", "[{}]") if source is document else ("\n", "{}")
    text = separator.join([json.dumps(record)] * 20_000)
    body = around.replace("{}", text).encode()
    stalls = []
    for _ in range(3):  # as above
        count = 0
        async with watched() as watch:
            async for group in source(pieces(body), LIMITS):
                count += len(group)
        assert count == 20_000
        stalls.append(watch.longest_s)
        if watch.longest_s < 0.04:
            break
    # In one go it would be 100 ms and more.
    assert min(stalls) < 0.04
