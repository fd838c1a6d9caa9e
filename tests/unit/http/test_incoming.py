"""A body is read as long as it is within its bound."""

import gzip
import zlib
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp import web
from atlas_http.incoming import chunks, read
from atlas_http.problems import Problem
from multidict import CIMultiDict

LIMIT = 1000


class Content:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Request:
    """What the reading of a body uses of a request: four pieces of 250 bytes, announced or not."""

    def __init__(self, announced: int | None, pieces: list[bytes] | None = None, *codings: str) -> None:
        self.content = Content([b"x" * 250] * 4 if pieces is None else pieces)
        self.content_length = announced
        self.headers = CIMultiDict([("Content-Encoding", coding) for coding in codings])


def _compressed(body: bytes, coding: str, *codings: str) -> web.Request:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](body)
    return cast(web.Request, Request(None, [packed[at : at + 7] for at in range(0, len(packed), 7)], *codings))


@pytest.mark.parametrize("announced", [None, 1000])
async def test_a_body_of_just_the_limit_is_read(announced: int | None) -> None:
    assert len(await read(cast(web.Request, Request(announced)), LIMIT)) == LIMIT


async def test_a_body_above_the_limit_is_refused_while_it_is_read() -> None:
    read_so_far = chunks(cast(web.Request, Request(None)), LIMIT - 1)
    for _ in range(3):
        assert await anext(read_so_far), "what is within the limit is given"
    with pytest.raises(Problem) as raised:
        await anext(read_so_far)
    assert raised.value.kind.status == 413


async def test_a_body_announced_as_too_large_is_not_read_at_all() -> None:
    with pytest.raises(Problem) as raised:
        await anext(chunks(cast(web.Request, Request(LIMIT + 1)), LIMIT))
    assert raised.value.kind.status == 413


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_the_limit_is_one_of_what_was_compressed(coding: str) -> None:
    assert await read(_compressed(b"x" * LIMIT, coding, coding), LIMIT) == b"x" * LIMIT
    with pytest.raises(Problem) as raised:
        await read(_compressed(b"x" * (LIMIT + 1), coding, coding), LIMIT)
    assert raised.value.kind.status == 413


async def test_the_limit_is_one_of_what_was_sent_too() -> None:
    with pytest.raises(Problem) as raised:
        await read(cast(web.Request, Request(None, [gzip.compress(b"")] * 100, "gzip")), LIMIT)
    assert raised.value.kind.status == 413


@pytest.mark.parametrize(
    ("pieces", "coding"),
    [([b'{"a": 1}'], "gzip"), ([b'{"a": 1}'], "deflate"), ([gzip.compress(b"abc")[:-3]], "gzip"),
     ([gzip.compress(b"abc"), b"rubbish"], "gzip"), ([zlib.compress(b"abc"), b"rubbish"], "deflate")],
)  # fmt: skip
async def test_a_body_that_is_not_of_its_coding_is_400_with_the_reason(pieces: list[bytes], coding: str) -> None:
    with pytest.raises(Problem) as raised:
        await read(cast(web.Request, Request(None, pieces, coding)), LIMIT)
    assert raised.value.kind.status == 400
    assert coding in str(raised.value)


@pytest.mark.parametrize("codings", [["br"], ["x"], ["gzip", "gzip"], ["gzip, br"], ["zstd"], ["\udcff"]])
async def test_another_coding_is_415_with_what_is_accepted(codings: list[str]) -> None:
    with pytest.raises(Problem) as raised:
        await read(cast(web.Request, Request(None, [b"a"], *codings)), LIMIT)
    assert raised.value.kind.status == 415
    assert raised.value.headers["Accept-Encoding"] == "gzip, deflate"
    assert raised.value.response().body


async def test_nothing_is_nothing_in_any_coding() -> None:
    assert await read(cast(web.Request, Request(0, [], "gzip")), LIMIT) == b""
