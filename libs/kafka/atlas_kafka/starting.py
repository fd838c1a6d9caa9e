"""Starting a client of aiokafka so that a cancellation can't make it lose a connection."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from atlas_errors.backoff import retrying


class _Startable(Protocol):
    async def start(self) -> None: ...


P = TypeVar("P", bound=_Startable)

# How old what a client knows of the cluster may get: new partitions, a topic that came or went and another leader are
# seen within this time. aiokafka's default is five minutes; an answer is some hundred bytes a topic.
METADATA_MAX_AGE_MS = 3_000
# A start whose broker answers takes milliseconds; one whose broker hangs must not hold up a service that stops.
CANCEL_GRACE_S = 2.0


async def start_whole(start: Coroutine[Any, Any, None]) -> None:
    """Await a client's `start()` or `bootstrap()`; when cancelled meanwhile, let it come to its end first.

    aiokafka asks the first broker over a connection that it keeps in a variable: cancelled there, nobody closes it,
    neither `start()` nor a later `stop()`. A start that takes longer than CANCEL_GRACE_S is cancelled all the same.
    Raises what the start raises.
    """
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting], timeout=CANCEL_GRACE_S)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        raise


async def start_producer(
    make: Callable[[], P], close: Callable[[P], Awaitable[object]], stop: asyncio.Event | None
) -> P:
    """A producer that is made and started. Waits, backing off, for brokers that are not up yet, until `stop` is set."""

    async def start() -> P:
        producer = make()
        try:
            await start_whole(producer.start())
        except BaseException:
            await close(producer)
            raise
        return producer

    return await retrying(start, what="kafka producer start", stop=stop or asyncio.Event())
