"""GET /health/mesh at the gateway: what the health-aggregator knows, for those who reach the gateway alone.

It is asked once for however many ask here, and its answer stands for a moment: whoever polls does not reach it.
"""

import asyncio
import time

import aiohttp
from aiohttp import web
from atlas_errors.policy import describe
from atlas_runtime.serving.http_server import document

FRESH_S = 0.5
TIMEOUT_S = 3.0
ANSWER_MAX_BYTES = 4 * 1024 * 1024


class MeshHealth:
    """Asks the health-aggregator at `url`."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/health/mesh"
        self._asking: asyncio.Task[tuple[bytes, str]] | None = None
        self._answer: tuple[bytes, str] = b"", ""
        self._asked_at = -FRESH_S

    async def ask(self) -> tuple[bytes, str]:
        """Its answer, and why there is none; at most FRESH_S old."""
        if self._asking is None and time.monotonic() - self._asked_at < FRESH_S:
            return self._answer
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="health of the mesh")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> tuple[bytes, str]:
        try:
            self._answer = await self._fetch(), ""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._answer = b"", describe(error)
        finally:
            self._asked_at, self._asking = time.monotonic(), None
        return self._answer

    async def _fetch(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self._url) as response:
            response.raise_for_status()
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > ANSWER_MAX_BYTES:
                    raise ValueError(f"it answers more than {ANSWER_MAX_BYTES} bytes")
            return bytes(data)

    def routes(self) -> list[web.RouteDef]:
        """GET /health/mesh; 503 while the aggregator does not answer."""

        async def mesh(_request: web.Request) -> web.Response:
            answer, trouble = await self.ask()
            if trouble:
                return document(503, f"The health-aggregator does not answer: {trouble}.", {"Retry-After": "1"})
            return web.Response(body=answer, content_type="application/json")

        return [web.get("/health/mesh", mesh)]
