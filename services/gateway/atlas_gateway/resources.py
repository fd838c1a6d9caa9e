"""What the handlers work with, opened by `app.serve` and found at `request.app[RESOURCES]`."""

import asyncio
from dataclasses import dataclass

from aiohttp import web
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka.producer import Producer
from atlas_outbox.waker import Waker
from atlas_readmodel.reader import Reader
from prometheus_client import Gauge

from atlas_gateway.databases import Pool
from atlas_gateway.posts import Posts
from atlas_gateway.settings import GatewaySettings

IN_FLIGHT = Gauge("atlas_gateway_requests_in_flight", "HTTP requests being answered")


class Requests:
    """The requests in flight, so that a stop can wait for them."""

    def __init__(self) -> None:
        self.draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self) -> None:
        IN_FLIGHT.inc()
        self._in_flight += 1
        self._idle.clear()

    def leave(self) -> None:
        IN_FLIGHT.dec()
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()

    async def drain(self, timeout_s: float) -> bool:
        """From now on connections close after their answer; wait until none is in flight. False: time is up."""
        self.draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Resources:
    """All that a handler may need."""

    settings: GatewaySettings
    registry: Registry
    codec: Codec
    pool: Pool
    producer: Producer
    posts: Posts
    reader: Reader
    waker: Waker
    requests: Requests


RESOURCES: web.AppKey[Resources] = web.AppKey("resources", Resources)
