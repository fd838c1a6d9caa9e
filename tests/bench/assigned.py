"""A service as a process, and what its log says of the partitions it was given."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson


@dataclass
class Assigned:
    """A running service; `assigned_at` is when it was last given partitions, and how many these are."""

    process: asyncio.subprocess.Process
    partitions: int = 0
    assigned_at: float = 0.0

    async def listen(self) -> None:
        """Until the log ends. What is not a line of JSON, or a warning or worse, is passed on to stderr."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            try:
                said = orjson.loads(line)
            except orjson.JSONDecodeError:
                sys.stderr.write(line.decode(errors="replace"))
                continue
            if said.get("event") == "assigned":
                self.partitions, self.assigned_at = len(said["partitions"]), time.time()
            elif said.get("level") != "info":
                sys.stderr.write(line.decode(errors="replace"))


@asynccontextmanager
async def service(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[Assigned]:
    """This Python with these arguments, which logs JSON, within the block; ended in an orderly way."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
    )
    running = Assigned(process)
    listening = asyncio.create_task(running.listen())
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
        await listening
