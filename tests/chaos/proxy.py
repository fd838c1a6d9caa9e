"""A TCP proxy before a server: what a network does to a service, done on purpose."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atlas_local.ports import free_port

_CHUNK = 1 << 16


class Proxy:
    """Forwards a port of the loopback address to `target`, a port that may change.

    `stall()`: nothing is forwarded in either direction and no connection ends, as when packets are dropped; `flow()`
    forwards what waited. `delay_s` holds each piece up for so long. `switch()` forwards new connections to another
    port, as when an address fails over, and ends the others; `silently`, nobody tells them.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self.delay_s = 0.0
        self._silenced: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        """Forward nothing from now on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forward again."""
        self._flowing.set()

    def switch(self, target: int, *, silently: bool = False) -> None:
        """New connections go to another port; the others end, or, silently, are never heard of again."""
        self.target = target
        if silently:
            self._silenced |= self._open
            return
        for writer in tuple(self._open):
            writer.transport.abort()

    def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Take a connection."""
        task = asyncio.ensure_future(self._serve(client, to_client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def end(self) -> None:
        """End all connections, and wait until they have ended."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._open.add(to_client)
        try:
            await self._flowing.wait()
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
            self._open.add(to_server)
            try:
                pumps = [asyncio.ensure_future(self._pump(*way)) for way in ((client, to_server), (server, to_client))]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
            finally:
                self._end(to_server)
        except OSError:
            pass  # the server is away: the client's connection ends, which is all that it would see of it
        finally:
            self._end(to_client)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                if sink not in self._silenced:
                    sink.write(data)
                    await sink.drain()
        if sink in self._silenced:  # its end is not heard of either
            await asyncio.Event().wait()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()


@asynccontextmanager
async def proxy_to(target: int, port: int | None = None) -> AsyncIterator[Proxy]:
    """A proxy that listens within the block, on a free port unless `port` says one."""
    proxy = Proxy(port or free_port(), target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
