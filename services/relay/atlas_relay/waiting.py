"""Waiting for whatever comes first, and for Kafka no longer than is allowed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atlas_errors.policy import Transient


async def first_of(*events: asyncio.Event, within_s: float | None = None) -> None:
    """Return when one of them is set, or after so long."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@asynccontextmanager
async def answered(within_s: float) -> AsyncIterator[None]:
    """Raise Transient when what the block asks of Kafka takes longer."""
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError:
        raise Transient(f"Kafka did not answer within {within_s:g} s") from None
