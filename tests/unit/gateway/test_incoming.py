"""A body is read as long as it is within its bound."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp import web
from atlas_gateway.incoming import chunks, read
from atlas_gateway.problems import Problem

LIMIT = 1000


class Content:
    async def iter_any(self) -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 250


class Request:
    """What the reading of a body uses of a request: four pieces of 250 bytes, announced or not."""

    def __init__(self, announced: int | None) -> None:
        self.content = Content()
        self.content_length = announced


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
