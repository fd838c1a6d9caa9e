"""Servers of a benchmark's own, connections to them, and what processes cost: CPU seconds and peak memory."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import asyncpg
import psutil
from atlas_local.home import Home
from atlas_local.mesh_of_tests import TEST_HOMES
from atlas_local.serverset import ServerSet, sweep

_SAMPLE_S = 0.2


@asynccontextmanager
async def servers() -> AsyncIterator[ServerSet]:
    """Kafka, PostgreSQL, Valkey and S3 with empty data, gone afterwards."""
    await sweep(TEST_HOMES)
    own = ServerSet(Home(TEST_HOMES / f"bench-{uuid.uuid4().hex[:8]}"))
    try:
        await own.start()
        yield own
    finally:
        own.kill()
        own.home.remove()


@asynccontextmanager
async def connected(dsn: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """A connection that is not waited for at its end, whatever it is in the middle of."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        connection.terminate()


@dataclass
class Usage:
    """CPU seconds and peak resident memory of one process with its children, while the block runs.

    Memory is the sum of the resident sets, which counts pages that PostgreSQL's processes share more than once. To look
    takes milliseconds, so whoever measures such himself looks at the beginning and the end only.
    """

    pid: int
    sample_s: float = _SAMPLE_S
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    _begun: tuple[float, float] = (0.0, 0.0)
    _sampler: "asyncio.Task[None] | None" = field(default=None, repr=False)

    async def __aenter__(self) -> "Usage":
        self._begun = time.perf_counter(), self._cpu()
        self._sampler = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        assert self._sampler is not None
        self._sampler.cancel()
        started, cpu = self._begun
        self.wall_s, self.cpu_s = time.perf_counter() - started, self._cpu() - cpu

    @property
    def cpu_percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu_s / self.wall_s

    async def _sample(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, self._over(lambda process: process.memory_info().rss) / 1e6)
            await asyncio.sleep(self.sample_s)

    def _cpu(self) -> float:
        return self._over(lambda process: sum(process.cpu_times()[:4]))

    def _over(self, figure: "Callable[[psutil.Process], float]") -> float:
        total = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            for each in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += figure(each)
        return total


@dataclass
class Others:
    """How many cores were busy with what is neither this process nor of its making, while the block ran.

    Above a few hundredths, somebody else used the machine, and a figure that needs all of its cores is too low.
    """

    cores: float = 0.0
    _begun: tuple[float, float] = (0.0, 0.0)

    def __enter__(self) -> "Others":
        self._begun = time.perf_counter(), self._busy()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        began, busy = self._begun
        self.cores = (self._busy() - busy) / (time.perf_counter() - began)

    def _busy(self) -> float:
        machine = psutil.cpu_times()
        ours = psutil.Process()
        busy = sum(machine) - machine.idle - machine.iowait - machine.guest - machine.guest_nice
        for each in (ours, *ours.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                busy -= sum(each.cpu_times()[:4])  # with those of children that have ended
        return busy
