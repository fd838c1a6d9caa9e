"""Waiting for a token ends, whatever a driver does with the cancellation by which a time-out works."""

import asyncio
from contextlib import suppress

from atlas_readmodel.reader import Reader
from atlas_readmodel.token import Token


class Swallowing(Reader):
    """A reader whose driver takes the time-out's one cancellation for its own."""

    looks = 0

    def __init__(self) -> None:
        """Nothing to read from."""

    async def _shows(self, token: Token, projection: str | None) -> bool:
        self.looks += 1
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return False


async def test_a_swallowed_cancellation_does_not_make_it_wait_for_ever() -> None:
    reader = Swallowing()
    async with asyncio.timeout(10):
        assert not await reader.wait_for(Token.of_records({("t", 0): 1}), 0.05)
    assert reader.looks == 1
