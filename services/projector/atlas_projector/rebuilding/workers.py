"""Filling a generation by several processes, each of which takes some of the partitions.

Positions are a partition's own, and so are its rows, so the processes never meet. The parent speaks JSON lines with
each: a job on its stdin, progress and the outcome on its stdout. Its stdin ends when the parent does, and so does it.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiokafka import TopicPartition
from atlas_archive.store import S3Address

from atlas_projector.source import Positions, RecordsGone

# Below this many records one process is done before another has started.
PARALLEL_FROM = 100_000
EXIT_TIMEOUT_S = 5.0


class WorkerError(Exception):
    """A worker stopped: the reason in its own words, or how it ended."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker process needs to know; `projections` names a tuple of them as `module:attribute`, or is empty for
    those of `contexts`, or of all contexts where that is empty.

    `load`: the part of the time that a worker works, above 0 and at most 1; the rest is left to others.
    """

    brokers: str
    dsn: str
    schemas_dir: str
    archive: S3Address | None
    redis_url: str = ""
    namespace: str = "atlas"
    projections: str = ""
    contexts: tuple[str, ...] = ()
    workers: int = 2
    load: float = 1.0


async def fill(
    setup: Setup, projection: str, generation: int, targets: Positions, on_events: Callable[[int, int], None]
) -> None:
    """Have the generation's partitions brought to `targets`; `on_events` hears of more of them, and how many
    of those were set aside.

    Raises WorkerError, RecordsGone; what was done until then is kept.
    """
    shares = share(targets, setup.workers)
    async with asyncio.TaskGroup() as group:
        for part in shares:
            job = {
                "setup": asdict(setup),
                "projection": projection,
                "generation": generation,
                "targets": [[*partition, until] for partition, until in part.items()],
            }
            group.create_task(_run(job, on_events))


def share(targets: Positions, workers: int) -> Sequence[Mapping[TopicPartition, int]]:
    """The partitions in at most so many parts of about as many records each."""
    parts: list[dict[TopicPartition, int]] = [{} for _ in range(max(1, min(workers, len(targets))))]
    for partition, until in sorted(targets.items(), key=lambda item: (-item[1], item[0])):
        min(parts, key=lambda part: sum(part.values()))[partition] = until
    return [part for part in parts if part]


async def _run(job: Mapping[str, Any], on_events: Callable[[int, int], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_projector.rebuilding.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said: dict[str, Any] = {}
    try:
        process.stdin.write(orjson.dumps(job) + b"\n")
        async for line in process.stdout:
            said = orjson.loads(line)
            on_events(said.get("events", 0), said.get("passed_over", 0))
    finally:
        if process.returncode is None:
            # The end of its stdin asks it to stop: what it has in flight is then durable or not at all.
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EXIT_TIMEOUT_S):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
    if said.get("gone"):
        raise RecordsGone(said["gone"])
    if not said.get("done"):
        raise WorkerError(said.get("error") or f"a rebuild worker ended with code {process.returncode}")
