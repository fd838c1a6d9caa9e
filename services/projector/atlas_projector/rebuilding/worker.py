"""A rebuild worker: python -m atlas_projector.rebuilding.worker, a job on stdin; see `workers`, which starts it."""

import asyncio
import gc
import importlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import uvloop
from aiokafka import TopicPartition
from atlas_archive.store import S3Address
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_errors.policy import describe
from atlas_projection.canary import CANARIES
from atlas_projection.projection import Projection
from atlas_readmodel.stores import open_stores
from atlas_runtime import contexts
from atlas_runtime.observing import logs

from atlas_projector.rebuilding.archived import open_source
from atlas_projector.rebuilding.builder import RebuildError, Strict
from atlas_projector.settings import ProjectorSettings
from atlas_projector.source import RecordsGone

# The live loops come first wherever there is one processor too few.
NICENESS = 10
SAY_EVERY_S = 0.25


def say(**what: Any) -> None:
    """One line to the parent."""
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


async def work(job: Mapping[str, Any]) -> None:
    """Bring the partitions of the job to their targets; the parent hears how it goes."""
    setup = job["setup"]
    projection = find(setup["projections"], job["projection"], setup["contexts"])
    targets = {TopicPartition(topic, number): until for topic, number, until in job["targets"]}
    archive = None if setup["archive"] is None else S3Address(**setup["archive"])
    codec = Codec(Registry.load(Path(setup["schemas_dir"])))
    async with (
        open_stores(setup["dsn"], setup["redis_url"], setup["namespace"], max_size=3) as stores,
        open_source(setup["brokers"], projection.topics, "rebuild-worker", archive) as source,
    ):
        store = stores.of(projection.model)
        writer = store.rows(job["generation"])
        strict = Strict(projection, store, codec, load=setup["load"])
        told, said_at = 0, 0.0
        async for events in strict.advance(writer, source, targets):
            if time.monotonic() - said_at > SAY_EVERY_S:
                say(events=events - told)
                told, said_at = events, time.monotonic()
        say(events=strict.events - told, done=True, passed_over=strict.passed_over)


def find(path: str, name: str, chosen: Sequence[str] = ()) -> Projection:
    """The projection of this name: of the chosen contexts, or that of canaries; or in the tuple that `module:attribute`
    names.

    Raises LookupError if there is none.
    """
    module, _, attribute = path.partition(":")
    projections: Sequence[Projection] = (
        getattr(importlib.import_module(module), attribute)
        if path
        else [*contexts.flat(contexts.PROJECTIONS, chosen), CANARIES]
    )
    for projection in projections:
        if projection.name == name:
            return projection
    raise LookupError(f"there is no projection {name} in {path or 'any context'}")


async def until_told(job: Mapping[str, Any]) -> int:
    """Work until it is done, or until the parent closes stdin; the exit code."""
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    working = asyncio.create_task(work(job))
    orphaned = asyncio.create_task(stdin.read())
    await asyncio.wait({working, orphaned}, return_when=asyncio.FIRST_COMPLETED)
    orphaned.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait({working})
        return 1
    try:
        working.result()
    except RecordsGone as gone:
        say(gone=str(gone))
    except RebuildError as error:
        say(error=str(error))
    except Exception as error:  # noqa: BLE001 - the parent says it, and stops the rebuild for it
        say(error=describe(error))
    else:
        return 0
    return 1


if __name__ == "__main__":
    # Not to stdout, where the parent listens. Both write to the same log.
    logs.configure(ProjectorSettings(), sys.stderr)
    os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        code = uvloop.run(until_told(orjson.loads(sys.stdin.buffer.readline())))
    finally:
        logs.shutdown()
    raise SystemExit(code)
