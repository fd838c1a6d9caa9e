"""What the gateway's own handlers work with, opened by `app.serve` and found at `request.app[GATEWAY]`."""

import asyncio
from dataclasses import dataclass

from aiohttp import web
from atlas_http.resources import Resources
from atlas_kafka.producing.producer import Producer
from prometheus_client import Gauge

from atlas_gateway.posting.posts import Posts
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
class Gateway(Resources):
    """What contexts are given, and what the gateway itself needs beside it."""

    settings: GatewaySettings
    producer: Producer
    posts: Posts
    requests: Requests


GATEWAY: web.AppKey[Gateway] = web.AppKey("gateway", Gateway)
